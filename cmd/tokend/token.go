package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/format"
	"example.com/tokend/pkg/tokend"
)

func (p *program) token() *cobra.Command {
	var name string
	var o format.Options
	var flags reachFlags
	var form format.Form
	var r format.Request
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Print a fresh access token", Long: tokenHelp(),
		Args: func(_ *cobra.Command, args []string) (err error) {
			if form, err = format.Find(name); err == nil {
				r, err = form.Request(args, o)
			}
			if err == nil && flags.private && !form.WithoutService {
				err = hintf(exitUsage, "run the program that requests it with: tokend exec NAME --private -- COMMAND",
					"--private has no effect with format %s, which needs a service", name)
			}
			return exitFrom(err)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if form.WithoutService {
				return p.printHere(cmd.Context(), form, r, flags)
			}
			return p.printForm(cmd.Context(), form, r, connect)
		},
	}
	requestFlags(cmd, &o)
	cmd.Flags().StringVar(&name, "format", "text", "one of the formats above")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(format.Names(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	cmd.Flags().StringVar(&o.Variable, "env", "", "the variable, with format env (ACCESS_TOKEN) or github")
	cmd.Flags().BoolVar(&o.IDToken, "id-token", false, "the ID token, with format text, json or header")
	reachFlagsOf(cmd, &flags)
	return cmd
}

// requestFlags adds the flags of a token request.
func requestFlags(cmd *cobra.Command, o *format.Options) {
	cmd.Flags().DurationVar(&o.MinValidity, "min-validity", 0, "how long the token must still be valid, such as 30m")
	cmd.Flags().StringVar(&o.Audience, "audience", "", "the API that the token is for (default: the client's)")
	cmd.Flags().StringVar(&o.Scope, "scope", "", "its scopes, separated by spaces (default: the client's)")
}

func tokenHelp() string {
	var b strings.Builder
	b.WriteString("Prints a fresh access token. Formats:\n")
	for _, f := range format.Forms() {
		fmt.Fprintf(&b, "  %-22s %s\n", f.Name, f.Help)
	}
	b.WriteString(`
A token that is valid for less than --min-validity is printed with a warning;
format external refuses it. Scopes of --scope that were not granted give a
warning.

Where no service runs and TOKEND_ADDR names none, formats text to github start the
client in this process, by the same configuration and the same store; with --wait
they wait for the service. The others are run by programs for every request of
theirs and need a service.`)
	return b.String()
}

// printForm prints a form of the token.
func (p *program) printForm(ctx context.Context, form format.Form, r format.Request, connect func(context.Context) (format.Source, error)) error {
	out, err := form.Run(ctx, p.process(connect), r)
	if len(out) > 0 {
		if _, werr := p.stdout.Write(out); werr != nil {
			return exitWith(exitUnavailable, werr)
		}
	}
	return exitFrom(err)
}

// printHere is printForm, with a private service when none runs.
func (p *program) printHere(ctx context.Context, form format.Form, r format.Request, flags reachFlags) error {
	end := func() error { return nil }
	err := p.printForm(ctx, form, r, func(ctx context.Context) (format.Source, error) {
		s, err := p.reachFor(ctx, r.TokenRequest, flags)
		if err != nil {
			return nil, err
		}
		end = s.end
		return s, nil
	})
	if eerr := end(); err == nil {
		err = eerr
	}
	return err
}

// reachFor is reachOrKeep for one token: the token request replaces the health check, and
// --wait waits for the service.
func (p *program) reachFor(ctx context.Context, r tokend.TokenRequest, flags reachFlags) (*tokenSource, error) {
	names := []string{r.Client}
	if !flags.private {
		s, err := reach(ctx)
		if err != nil {
			return nil, err
		}
		t, err := s.Token(ctx, r)
		_, waits := ctx.Value(waitLimit{}).(time.Duration)
		if os.Getenv(addrVariable) != "" || waits || !s.notThisUsers(err) {
			p.warnOfOwn(ctx, s, names)
			there := &reached{service: s, started: func() {}, end: func() error { return nil }}
			return &tokenSource{there, func() (*tokend.Token, error) { return t, err }}, nil
		}
	}
	own, err := p.reachOrKeep(ctx, names, flags)
	return &tokenSource{reached: own}, err
}

// notThisUsers reports whether err means that no service of this user answers at the
// default addresses: no service listens, or it requires a key that this user does not
// have.
func (s service) notThisUsers(err error) bool {
	var e *tokend.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		key, kerr := s.Key()
		return kerr == nil && key == ""
	}
	return tokend.NotListening(err) || errors.Is(err, tokend.ErrForeign)
}

// process returns the part of p that a form uses.
func (p *program) process(connect func(context.Context) (format.Source, error)) format.Process {
	return format.Process{
		Connect: connect, Stdin: p.stdin, Stdout: p.stdout, Getenv: os.Getenv, Now: p.clock, Version: buildVersion(),
		Warn: func(err error) { p.tell("warning: %v\n", err) },
		Report: func(err error) (int, string) {
			err = p.outOfTime(exitFrom(err))
			return exitCode(err), strings.TrimSuffix(strings.TrimPrefix(report(err), "error: "), "\n")
		},
	}
}

// connect finds the running service.
func connect(ctx context.Context) (format.Source, error) {
	s, err := reach(ctx)
	if err != nil {
		return nil, err
	}
	return &tokenSource{reached: &reached{service: s}}, nil
}

// tokenSource is a service as a form's source of tokens.
type tokenSource struct {
	*reached
	first func() (*tokend.Token, error) // the answer to the first request, if it was sent already
}

// Token requests a token.
func (s *tokenSource) Token(ctx context.Context, r tokend.TokenRequest) (*tokend.Token, error) {
	t, err := call(ctx, func(ctx context.Context) (*tokend.Token, error) {
		if first := s.first; first != nil {
			s.first = nil
			return first()
		}
		return s.reached.Token(ctx, r)
	})
	if s.private {
		err = s.explain(r.Client, err)
	}
	return t, err
}

// Clients requests the state of every client.
func (s *tokenSource) Clients(ctx context.Context) ([]tokend.Status, error) { return s.clients(ctx) }

// Status requests the state of a client. A person cannot log in at a private service.
func (s *tokenSource) Status(ctx context.Context, name string) (*tokend.Status, error) {
	c, err := s.status(ctx, name)
	if err == nil && s.private && c.Failure != nil && c.Failure.Remedy != tokend.RemedySetting && c.Failure.Class == tokend.CodeLoginRequired {
		c.Failure.Hint, c.Failure.Remedy = loginFirst(name), tokend.RemedySetting
	}
	return c, err
}

// Refresh requests a new token.
func (s *tokenSource) Refresh(ctx context.Context, r tokend.RefreshRequest) (*tokend.Status, error) {
	return call(ctx, func(ctx context.Context) (*tokend.Status, error) { return s.reached.Refresh(ctx, r) })
}

// clock returns the time of this machine, or of a test.
func (p *program) clock() time.Time {
	if p.now != nil {
		return p.now()
	}
	return time.Now()
}
