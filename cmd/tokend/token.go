package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// tokenAnswer is what the service answers a token request with.
type tokenAnswer struct {
	AccessToken string    `json:"access_token"`
	ExpiresIn   int64     `json:"expires_in"` // seconds
	ExpiresAt   time.Time `json:"expires_at"`
	Satisfied   bool      `json:"min_validity_satisfied"`
}

type tokenFlags struct {
	minValidity             time.Duration
	audience, scope, format string
}

func (p *program) token() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Print a fresh access token", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.printToken(cmd.Context(), args[0], f) },
	}
	cmd.Flags().DurationVar(&f.minValidity, "min-validity", 0, "how long the token must still be valid, such as 30m")
	cmd.Flags().StringVar(&f.audience, "audience", "", "the API that it is for, when not the client's own")
	cmd.Flags().StringVar(&f.scope, "scope", "", "its scopes, separated by spaces, when not the client's own")
	cmd.Flags().StringVar(&f.format, "format", "text", `text, json, header (for curl -H @-) or env (shell exports)`)
	return cmd
}

func (p *program) printToken(ctx context.Context, name string, f tokenFlags) error {
	switch f.format {
	case "text", "json", "header", "env":
	default:
		return exitf(exitUsage, "format %q is not one of text, json, header, env", f.format)
	}
	if f.minValidity < 0 {
		return exitf(exitUsage, "--min-validity %s is negative", f.minValidity)
	}
	s, err := findService()
	if err != nil {
		return err
	}
	query := url.Values{}
	for key, value := range map[string]string{"audience": f.audience, "scope": f.scope} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if f.minValidity > 0 {
		query.Set("min_validity", f.minValidity.String())
	}
	body, err := s.call(ctx, "GET", clientPath(name, "/token"), query, nil)
	if err != nil {
		return err
	}
	return p.writeToken(body, f)
}

// writeToken prints the answer in the format that was asked for.
func (p *program) writeToken(body []byte, f tokenFlags) error {
	var t tokenAnswer
	if err := json.Unmarshal(body, &t); err != nil || t.AccessToken == "" {
		return exitf(exitProtocol, "tokend's answer holds no token")
	}
	if !t.Satisfied {
		fmt.Fprintf(p.stderr, "warning: the token is valid for %s, not for %s: the provider's tokens live no longer\n",
			time.Duration(t.ExpiresIn)*time.Second, f.minValidity)
	}
	out := t.AccessToken
	switch f.format {
	case "json":
		out = string(body)
	case "header":
		out = "Authorization: Bearer " + t.AccessToken
	case "env":
		out = "export ACCESS_TOKEN=" + shellQuoted(t.AccessToken) +
			"\nexport ACCESS_TOKEN_EXPIRES_AT=" + shellQuoted(t.ExpiresAt.UTC().Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(p.stdout, out)
	return exitWith(exitUnavailable, err)
}

// shellQuoted is one word of a POSIX shell, whatever s holds.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
