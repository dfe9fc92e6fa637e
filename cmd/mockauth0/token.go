package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const tokenHelp = `Print a token of the running tenant at MOCKAUTH0_LISTEN (or MOCKAUTH0_CONTROL_LISTEN), as
if a user or a client had got it by a login. Without a defect, the tenant accepts it
everywhere. The flags from --expired to --missing-claim make a bad one.`

// tokenInput is the body of POST /_mock/tokens.
type tokenInput struct {
	User     string                     `json:"user,omitempty"`
	ClientID string                     `json:"client_id,omitempty"`
	Audience string                     `json:"audience,omitempty"`
	Scope    string                     `json:"scope,omitempty"`
	IDToken  bool                       `json:"id_token,omitempty"`
	Nonce    string                     `json:"nonce,omitempty"`
	Lifetime string                     `json:"lifetime,omitempty"`
	Claims   map[string]json.RawMessage `json:"claims,omitempty"`
	Defects  []string                   `json:"defects,omitempty"`
	Claim    string                     `json:"claim,omitempty"`

	Management bool `json:"management,omitempty"`
}

// defectFlags are the defects that a flag without a value makes.
var defectFlags = []struct{ flag, defect, usage string }{
	{"expired", "expired", "expired an hour ago"},
	{"wrong-iss", "wrong_iss", "of another issuer"},
	{"wrong-aud", "wrong_aud", "for another API or client"},
	{"wrong-nonce", "wrong_nonce", "with another nonce (an ID token)"},
	{"wrong-signature", "wrong_signature", "with a signature that does not match"},
	{"wrong-kid", "wrong_kid", "with a kid that the tenant does not have"},
	{"alg-none", "alg_none", "with the algorithm none, without a signature"},
}

// tokenFlags are the flags of "mockauth0 token".
type tokenFlags struct {
	input    tokenInput
	lifetime time.Duration
	claims   []string
	url      string
}

func (p *program) tokenCommand() *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use: "token", Short: "Print a token of a running tenant, good or bad", Long: tokenHelp, Args: cobra.NoArgs,
		Example: "  mockauth0 token --user agent@example.com --audience https://api.example.com/\n" +
			"  mockauth0 token --client demo --lifetime 90s\n" +
			"  mockauth0 token --management --scope 'read:clients update:clients'\n" +
			"  mockauth0 token --user agent@example.com --id-token --expired",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, d := range defectFlags {
				if on, _ := cmd.Flags().GetBool(d.flag); on {
					f.input.Defects = append(f.input.Defects, d.defect)
				}
			}
			return p.token(cmd.Context(), f)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.input.User, "user", "", "user_id, e-mail address or username (default: a token of the client itself)")
	flags.StringVar(&f.input.ClientID, "client", "", "client_id or name (default: the first client)")
	flags.StringVar(&f.input.Audience, "audience", "", "identifier of an API (default: the first one)")
	flags.BoolVar(&f.input.Management, "management", false, "for the Management API, by default of the client management")
	flags.StringVar(&f.input.Scope, "scope", "", "scopes, as they are (default: all that user or client may have)")
	flags.DurationVar(&f.lifetime, "lifetime", 0, "lifetime, such as 90s (default: that of the API)")
	flags.BoolVar(&f.input.IDToken, "id-token", false, "an ID token for the client, in place of an access token")
	flags.StringVar(&f.input.Nonce, "nonce", "", "nonce of an ID token")
	flags.StringArrayVar(&f.claims, "claim", nil, "NAME=VALUE to add or replace a claim, as JSON or text (repeatable)")
	for _, d := range defectFlags {
		flags.Bool(d.flag, false, d.usage)
	}
	flags.StringVar(&f.input.Claim, "missing-claim", "", "without the claim of this name")
	flags.StringVar(&f.url, "url", "", "address of the tenant's plain listener (default: from MOCKAUTH0_LISTEN)")
	return c
}

func (p *program) token(ctx context.Context, f tokenFlags) error {
	base, err := controlURL(f.url)
	if err != nil {
		return err
	}
	in := f.input
	if f.lifetime != 0 {
		in.Lifetime = f.lifetime.String()
	}
	if in.Claim != "" {
		in.Defects = append(in.Defects, "missing_claim")
	}
	if in.Claims, err = parseClaims(f.claims); err != nil {
		return err
	}
	var out struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := post(ctx, base+"_mock/tokens", in, &out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, out.Access+out.ID)
	return err
}

// parseClaims reads NAME=VALUE. A value that is not JSON is text.
func parseClaims(list []string) (map[string]json.RawMessage, error) {
	claims := map[string]json.RawMessage{}
	for _, c := range list {
		name, value, found := strings.Cut(c, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("--claim %q is not NAME=VALUE", c)
		}
		raw := json.RawMessage(value)
		if !json.Valid(raw) {
			raw, _ = json.Marshal(value) // a string always has a JSON form
		}
		claims[name] = raw
	}
	return claims, nil
}

// controlURL returns the address of a running tenant's control API, with a slash at its
// end: the one given, or that of the settings.
func controlURL(given string) (string, error) {
	s, err := readSettings()
	switch {
	case err != nil:
		return "", err
	case given != "":
		return strings.TrimSuffix(given, "/") + "/", nil
	case s.ControlListen != "":
		return issuerOf("http", s.ControlListen, mustAddr(s.ControlListen)), nil
	}
	return issuerOf("http", s.Listen, mustAddr(s.Listen)), nil
}

// post makes a call of the control API, without a proxy. An error of the API is one of
// usage.
func post(ctx context.Context, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return &exitError{exitUnavailable, fmt.Errorf("cannot reach the tenant: %w\nhint: start it: mockauth0 serve", err)}
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return &exitError{exitUnavailable, fmt.Errorf("the tenant's answer is incomplete: %w", err)}
	}
	if res.StatusCode == http.StatusOK {
		return json.Unmarshal(answer, out)
	}
	var bad struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &bad) == nil && res.StatusCode == http.StatusBadRequest {
		return errors.New(bad.Error)
	}
	return &exitError{exitUnavailable, fmt.Errorf("%s answers %s\nhint: give the address of a mockauth0: --url", url, res.Status)}
}
