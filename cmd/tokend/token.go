package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/pkg/flow"
)

// tokenAnswer is what the service answers a token request with.
type tokenAnswer struct {
	AccessToken string    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	IDToken     string    `json:"id_token"`   // when it was asked for
	ExpiresIn   int64     `json:"expires_in"` // seconds
	ExpiresAt   time.Time `json:"expires_at"`
	Scope       string    `json:"scope"`
	Audience    string    `json:"audience"`
	Client      string    `json:"client"`
	Satisfied   bool      `json:"min_validity_satisfied"`

	body []byte // the answer itself
}

// tokenRequest is what the service is asked for.
type tokenRequest struct {
	client          string
	minValidity     time.Duration
	audience, scope string
	idToken         bool
}

// tokenFlags are a command line of "tokend token".
type tokenFlags struct {
	tokenRequest
	format    string
	variable  string // --env
	operation string // of a credential helper's protocol: get, store, erase, …
}

func (p *program) token() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Print a fresh access token", Long: tokenHelp(),
		Args: func(_ *cobra.Command, args []string) error { return f.arguments(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return p.printToken(cmd.Context(), f) },
	}
	cmd.Flags().DurationVar(&f.minValidity, "min-validity", 0, "how long the token must still be valid, such as 30m")
	cmd.Flags().StringVar(&f.audience, "audience", "", "the API that it is for, when not the client's own")
	cmd.Flags().StringVar(&f.scope, "scope", "", "its scopes, separated by spaces, when not the client's own")
	cmd.Flags().StringVar(&f.format, "format", "text", "one of those above")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.Flags().StringVar(&f.variable, "env", "", "the variable, with format env (ACCESS_TOKEN) or github")
	return cmd
}

func tokenHelp() string {
	var b strings.Builder
	b.WriteString("Prints a fresh access token. Formats:\n")
	for _, f := range formats() {
		fmt.Fprintf(&b, "  %-18s %s\n", f.name, f.help)
	}
	b.WriteString("\nA token that lives shorter than --min-validity is printed with a warning; format\nexternal refuses it. Scopes of --scope that were not granted are warned of.")
	return b.String()
}

// arguments checks the whole command line before anybody is asked.
func (f *tokenFlags) arguments(args []string) error {
	i := slices.IndexFunc(formats(), func(x format) bool { return x.name == f.format })
	if i < 0 {
		return exitf(exitUsage, "format %q is not one of %s", f.format, strings.Join(formatNames(), ", "))
	}
	x := formats()[i]
	switch {
	case len(args) < x.least:
		return exitf(exitUsage, "the client's name is missing\nhint: tokend token NAME; tokend status lists them")
	case len(args) > x.most:
		return exitf(exitUsage, "%q is one argument too many", args[x.most])
	case f.minValidity < 0:
		return exitf(exitUsage, "--min-validity %s is negative", f.minValidity)
	case f.variable != "" && f.format != "env" && f.format != "github":
		return exitf(exitUsage, "--env is of no use with format %s\nhint: it goes with --format env or github", f.format)
	case f.variable != "" && !variableName(f.variable):
		return exitf(exitUsage, "--env %q is no variable's name\nhint: letters, digits and _, not a digit first", f.variable)
	}
	args = append(args, "", "")
	f.client, f.operation = args[0], args[1]
	return nil
}

// variableName is what POSIX allows.
func variableName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func (p *program) printToken(ctx context.Context, f tokenFlags) error {
	for _, x := range formats() {
		if x.name == f.format {
			return x.run(p, ctx, f)
		}
	}
	return exitf(exitUsage, "there is no format %q", f.format)
}

// token asks the service for a token.
func (s *service) token(ctx context.Context, r tokenRequest) (tokenAnswer, error) {
	query := url.Values{}
	for key, value := range map[string]string{"audience": r.audience, "scope": r.scope} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if r.minValidity > 0 {
		query.Set("min_validity", r.minValidity.String())
	}
	if r.idToken {
		query.Set("id_token", "true")
	}
	var t tokenAnswer
	body, err := s.call(ctx, "GET", clientPath(r.client, "/token"), query, nil)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(body, &t); err != nil || t.AccessToken == "" {
		return t, exitf(exitProtocol, "tokend's answer holds no token")
	}
	if strings.ContainsFunc(t.AccessToken, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		// It would break out of a header or a line. RFC 6749 allows none (appendix A.12).
		return t, exitf(exitProtocol, "the token in tokend's answer holds a line break or another control character\nhint: look at TOKEND_ADDR: a tokend refuses such a token of its provider")
	}
	t.body = body
	return t, nil
}

// lacks are the scopes that were asked for and not granted.
func (t tokenAnswer) lacks(asked string) string {
	granted := strings.Fields(t.Scope)
	return strings.Join(slices.DeleteFunc(strings.Fields(asked), func(s string) bool { return slices.Contains(granted, s) }), " ")
}

// tooShort says why a token ends sooner than was asked: the provider could not
// give another one, or its tokens live no longer.
func (s *service) tooShort(ctx context.Context, t tokenAnswer, f tokenFlags) error {
	text := "the token is " + shortOf(t, f.minValidity)
	c, err := s.client(ctx, "GET", clientPath(f.client, ""), nil)
	if err != nil || c.Failure == nil {
		return exitf(exitConfig, "%s: the provider's tokens live no longer\nhint: ask for less, or raise the token lifetime of the API at the provider", text)
	}
	hint := "try again"
	if c.Failure.Class == string(flow.ClassLoginRequired) {
		hint = c.loginHint()
	}
	return exitf(codeOfClass(flow.Class(c.Failure.Class)), "%s, and there is no other: %s: %s\nhint: %s", text, c.Failure.Class, c.Failure.Description, hint)
}
