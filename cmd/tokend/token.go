package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// tokenFlags are a command line of "tokend token".
type tokenFlags struct {
	tokend.TokenRequest
	scope     string // --scope
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
	cmd.Flags().DurationVar(&f.MinValidity, "min-validity", 0, "how long the token must still be valid, such as 30m")
	cmd.Flags().StringVar(&f.Audience, "audience", "", "the API that it is for, when not the client's own")
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
		return hintf(exitUsage, "tokend token NAME; tokend status lists them", "the client's name is missing")
	case len(args) > x.most:
		return exitf(exitUsage, "%q is one argument too many", args[x.most])
	case f.MinValidity < 0:
		return exitf(exitUsage, "--min-validity %s is negative", f.MinValidity)
	case f.variable != "" && f.format != "env" && f.format != "github":
		return hintf(exitUsage, "it goes with --format env or github", "--env is of no use with format %s", f.format)
	case f.variable != "" && !config.IsVariable(f.variable):
		return hintf(exitUsage, "letters, digits and _, not a digit first", "--env %q is no variable's name", f.variable)
	}
	args = append(args, "", "")
	f.Client, f.operation, f.Scopes = args[0], args[1], scopesOf(f.scope)
	return nil
}

func (p *program) printToken(ctx context.Context, f tokenFlags) error {
	for _, x := range formats() {
		if x.name == f.format {
			return x.run(p, ctx, f)
		}
	}
	return exitf(exitUsage, "there is no format %q", f.format)
}

// scopesOf splits --scope; nil is the client's own.
func scopesOf(scope string) []string {
	if scope == "" {
		return nil
	}
	return strings.Fields(scope)
}

// tooShort says why a token ends sooner than was asked: the provider could not
// give another one, or its tokens live no longer.
func (s service) tooShort(ctx context.Context, t *tokend.Token, f tokenFlags) error {
	text := "the token is " + shortOf(t, f.MinValidity)
	c, err := s.status(ctx, f.Client)
	if err != nil || c.Failure == nil {
		return hintf(exitConfig, "ask for less, or raise the token lifetime of the API at the provider",
			"%s: the provider's tokens live no longer", text)
	}
	hint := "try again"
	if c.Failure.Class == tokend.CodeLoginRequired {
		hint = loginHint(c)
	}
	return hintf(codeOfClass(flow.Class(c.Failure.Class)), fmt.Sprintf("%s", hint),
		"%s, and there is no other: %s: %s", text, c.Failure.Class, c.Failure.Description)
}
