package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// maxQuery bounds what another program says on standard input, in bytes.
const maxQuery = 64 << 10

// external is the program of Terraform's data source "external": a JSON object
// of strings on standard input, one on standard output. A token that lives
// shorter than was asked for is an error here: nobody reads a warning of a
// program that ended well, and the apply dies in its middle.
func (p *program) external(ctx context.Context, f tokenFlags) error {
	in, err := p.read(ctx)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if err := f.query(in); err != nil {
		return err
	}
	s, err := reach(ctx)
	if err != nil {
		return err
	}
	t, err := p.ask(ctx, s, f)
	if err != nil {
		return err
	}
	if !t.MinValiditySatisfied {
		return s.tooShort(ctx, t, f)
	}
	out, err := json.Marshal(map[string]string{ // keys come sorted
		"access_token": t.AccessToken.Reveal(), "token_type": t.TokenType, "authorization_header": "Bearer " + t.AccessToken.Reveal(),
		"expires_at": expiry(t.ExpiresAt), "expires_in": strconv.FormatInt(t.ExpiresIn, 10),
		"scope": t.Scope, "audience": t.Audience, "client": t.Client,
	})
	if err != nil {
		return exitWith(exitProtocol, err)
	}
	return p.print(string(out))
}

// query takes what Terraform's query says; the command line says the rest.
func (f *tokenFlags) query(in []byte) error {
	var q struct {
		Client      *string `json:"client"`
		MinValidity *string `json:"min_validity"`
		Audience    *string `json:"audience"`
		Scope       *string `json:"scope"`
	}
	if in = bytes.TrimSpace(in); len(in) > 0 {
		d := json.NewDecoder(bytes.NewReader(in))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil || d.More() {
			return exitf(exitUsage, "the query is no JSON object of strings with client, min_validity, audience and scope%s", unknownField(err))
		}
	}
	for _, m := range []struct {
		in *string
		to *string
	}{{q.Client, &f.Client}, {q.Audience, &f.Audience}, {q.Scope, &f.scope}} {
		if m.in != nil && *m.in != "" {
			*m.to = *m.in
		}
	}
	if q.MinValidity != nil && *q.MinValidity != "" {
		d, err := time.ParseDuration(*q.MinValidity)
		if seconds, serr := strconv.ParseInt(*q.MinValidity, 10, 32); serr == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d < 0 {
			return exitf(exitUsage, `min_validity %q is not a duration such as "30m" or seconds such as "1800"`, *q.MinValidity)
		}
		f.MinValidity = d
	}
	f.Scopes = scopesOf(f.scope)
	if f.Client == "" {
		return hintf(exitUsage, `query = { client = "NAME" }, or the name as an argument of the program`, "no client is named")
	}
	return nil
}

// unknownField names the member that a JSON decoder does not know.
func unknownField(err error) string {
	if err == nil {
		return ""
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return ": " + name + " is none of them"
	}
	return ""
}
