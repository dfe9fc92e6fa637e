package format

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// external is the program of Terraform's data source "external": a JSON object of
// strings on standard input, one on standard output. A token that is valid for less
// than requested is an error: Terraform shows no warning of a program that
// succeeds, and the apply would fail halfway.
func external(ctx context.Context, p Process, r Request) ([]byte, error) {
	in, err := p.input(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.query(in); err != nil {
		return nil, err
	}
	s, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.token(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if !t.MinValiditySatisfied {
		return nil, tooShort(ctx, s, t, r)
	}
	return line(string(encoded(map[string]string{ // keys are sorted
		"access_token": t.AccessToken.Reveal(), "token_type": t.TokenType, "authorization_header": "Bearer " + t.AccessToken.Reveal(),
		"expires_at": expiry(t.ExpiresAt), "expires_in": strconv.FormatInt(t.ExpiresIn, 10),
		"scope": t.Scope, "audience": t.Audience, "client": t.Client,
	}))), nil
}

// query reads Terraform's query into the request of the command line.
func (r *Request) query(in []byte) error {
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
			return errorf(Usage, "", "the query is not a JSON object of strings with client, min_validity, audience and scope%s", unknownField(err))
		}
	}
	for _, m := range []struct {
		in *string
		to *string
	}{{q.Client, &r.Client}, {q.Audience, &r.Audience}, {q.Scope, &r.scope}} {
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
			return errorf(Usage, "", `min_validity %q is not a duration such as "30m" or seconds such as "1800"`, *q.MinValidity)
		}
		r.MinValidity = d
	}
	r.Scopes = scopes(r.scope)
	if r.Client == "" {
		return errorf(Usage, `query = { client = "NAME" }, or give the name as an argument of the program`, "the client's name is missing")
	}
	return nil
}

// unknownField returns the name of the unknown member in a JSON decoder's error.
func unknownField(err error) string {
	if err == nil {
		return ""
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return ": unknown member " + name
	}
	return ""
}
