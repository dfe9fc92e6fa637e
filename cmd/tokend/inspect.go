package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/format"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/tokend"
)

const inspectHelp = `Shows the content of a client's token: its claims, audience, scopes and how long it
is valid. It does not print the token itself, and does not verify the signature. A token that is not a JWT is opaque: only the
provider and the API can read it.

When no service runs, it starts the client in this process, like "tokend token".`

func (p *program) inspect() *cobra.Command {
	var o format.Options
	var flags reachFlags
	var r format.Request
	output := ""
	cmd := &cobra.Command{
		Use: "inspect NAME", Short: "Show the claims and the expiry of a token, without the token", Long: inspectHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return exitf(exitUsage, "format %q is not one of table, json", output)
			}
			form, err := format.Find("json")
			if err == nil {
				r, err = form.Request(args, o)
			}
			return exitFrom(err)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return p.printInspection(cmd.Context(), r, flags, output) },
	}
	requestFlags(cmd, &o)
	cmd.Flags().BoolVar(&o.IDToken, "id-token", false, "the ID token instead of the access token")
	cmd.Flags().StringVar(&output, "format", "table", "table or json")
	reachFlagsOf(cmd, &flags)
	return cmd
}

// inspection is the content of a token.
type inspection struct {
	Client    string         `json:"client"`
	Token     string         `json:"token"` // access_token or id_token
	Type      string         `json:"type"`  // jwt or opaque
	Audience  []string       `json:"audience,omitempty"`
	Scopes    []string       `json:"scopes,omitempty"`
	ExpiresAt time.Time      `json:"expires_at,omitzero"`
	ExpiresIn int64          `json:"expires_in"` // seconds
	Header    map[string]any `json:"header,omitempty"`
	Claims    map[string]any `json:"claims,omitempty"`
}

func (p *program) printInspection(ctx context.Context, r format.Request, flags reachFlags, output string) error {
	s, err := p.reachFor(ctx, r.TokenRequest, flags)
	if err != nil {
		return err
	}
	defer func() { _ = s.end() }() // the token is valid even if the end reports an error
	t, err := s.Token(ctx, r.TokenRequest)
	if err != nil {
		return err
	}
	if r.IDToken && t.IDToken == "" {
		return exitFrom(format.NoIDToken(t))
	}
	i := inspect(t, r.IDToken, p.clock())
	if output == "json" {
		return exitWith(exitUnavailable, i.writeJSON(p.stdout))
	}
	return exitWith(exitUnavailable, i.writeTable(p.stdout))
}

// inspect reads a token of the service.
func inspect(t *tokend.Token, idToken bool, now time.Time) inspection {
	i := inspection{Client: t.Client, Token: "access_token", Type: "opaque", ExpiresAt: t.ExpiresAt, ExpiresIn: t.ExpiresIn, Scopes: strings.Fields(t.Scope)}
	if t.Audience != "" {
		i.Audience = []string{t.Audience}
	}
	value := t.AccessToken
	if idToken {
		i.Token, value = "id_token", t.IDToken
		i.Scopes, i.Audience, i.ExpiresAt, i.ExpiresIn = nil, nil, time.Time{}, 0 // those of the access token
	}
	var ok bool
	if i.Header, i.Claims, ok = format.Claims(value.Reveal()); !ok {
		i.Header, i.Claims = nil, nil
		return i
	}
	i.Type = "jwt"
	if aud := stringsOf(i.Claims["aud"]); aud != nil {
		i.Audience = aud
	}
	if exp, known := i.Claims["exp"].(json.Number); known && idToken {
		if seconds, err := strconv.ParseFloat(exp.String(), 64); err == nil && seconds > 0 && seconds < 1<<40 {
			i.ExpiresAt = time.Unix(int64(seconds), 0).UTC()
			i.ExpiresIn = int64(max(0, i.ExpiresAt.Sub(now)) / time.Second)
		}
	}
	return i
}

// stringsOf returns a claim that is a string or a list of strings (RFC 7519 section
// 4.1.3), or nil.
func stringsOf(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			list = append(list, s)
		}
		return list
	}
	return nil
}

func (i inspection) writeJSON(w io.Writer) error {
	_, err := fmt.Fprintln(w, safeJSON(i))
	return err
}

func (i inspection) writeTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	kind := "opaque: only the provider and the API can read it"
	if i.Type == "jwt" {
		kind = "JWT"
		if alg, ok := i.Header["alg"].(string); ok {
			kind += ", " + visible(alg)
		}
	}
	fmt.Fprintf(t, "client\t%s\n", visible(i.Client))
	fmt.Fprintf(t, "%s\t%s\n", i.Token, kind)
	fmt.Fprintf(t, "audience\t%s\n", visible(cmp.Or(strings.Join(i.Audience, " "), "-")))
	fmt.Fprintf(t, "scopes\t%s\n", visible(cmp.Or(strings.Join(i.Scopes, " "), "-")))
	expires := "-"
	if !i.ExpiresAt.IsZero() {
		left := time.Duration(i.ExpiresIn) * time.Second
		expires = fmt.Sprintf("%s, in %s (%d s)", terminal.Time(i.ExpiresAt), format.Span(left), i.ExpiresIn)
	}
	fmt.Fprintf(t, "expires\t%s\n", expires)
	for _, name := range slices.Sorted(maps.Keys(i.Claims)) {
		fmt.Fprintf(t, "  %s\t%s\n", visible(name), safeJSON(i.Claims[name]))
	}
	return t.Flush()
}

// visible returns s with unprintable characters escaped.
func visible(s string) string { return strings.Trim(safeJSON(s), `"`) }

// safeJSON returns v as JSON in which every unprintable character is escaped:
// control characters, and those that change the direction of text.
func safeJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // URLs stay readable
	if err := e.Encode(v); err != nil {
		return `"` + err.Error() + `"` // cannot happen for decoded values
	}
	var out strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
