package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// format is one form of "tokend token".
type format struct {
	name, help  string
	least, most int // how many arguments it takes
	run         func(*program, context.Context, tokenFlags) error
}

func formats() []format {
	return []format{
		{"text", "the token and a newline", 1, 1, plain(text)},
		{"json", "the service's answer, with expiry and scopes", 1, 1, plain(wholeAnswer)},
		{"header", "a header for curl -H @-", 1, 1, plain(header)},
		{"env", "exports for eval in a shell; --env names the variable", 1, 1, plain(exports)},
		{"github", "masks the token and writes $GITHUB_OUTPUT, or $GITHUB_ENV with --env", 1, 1, (*program).github},
		{"external", "Terraform's data source external: query on stdin, flat JSON", 0, 1, (*program).external},
		{"exec-credential", "kubectl's and client-go's exec plugin", 1, 1, (*program).execCredential},
		{"git-credential", "git's credential.helper; the operation is the last argument", 1, 2, (*program).gitCredential},
		{"docker-credential", "Docker's credential helper; the operation is the last argument", 1, 2, (*program).dockerCredential},
		{"gcp-executable", "Google's executable-sourced credentials", 1, 1, (*program).gcpExecutable},
	}
}

func formatNames() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// plain is a format that nothing but the token goes into.
func plain(render func(*tokend.Token, tokenFlags) string) func(*program, context.Context, tokenFlags) error {
	return func(p *program, ctx context.Context, f tokenFlags) error {
		t, err := p.fetch(ctx, f)
		if err != nil {
			return err
		}
		return p.print(render(t, f))
	}
}

// fetch has the token. One that lives shorter than was asked for is told.
func (p *program) fetch(ctx context.Context, f tokenFlags) (*tokend.Token, error) {
	s, err := reach(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.ask(ctx, s, f)
	if err == nil && !t.MinValiditySatisfied {
		p.tell("warning: %v\n", s.tooShort(ctx, t, f))
	}
	return t, err
}

// ask asks the service for the token. Scopes that it lacks are told.
func (p *program) ask(ctx context.Context, s service, f tokenFlags) (*tokend.Token, error) {
	t, err := s.token(ctx, f.TokenRequest)
	if err != nil {
		return nil, err
	}
	if lacking := t.Lacks(f.Scopes); len(lacking) > 0 {
		p.tell("warning: the token is without the scopes %q, with %q\n", strings.Join(lacking, " "), t.Scope)
	}
	return t, nil
}

func (p *program) print(out string) error {
	_, err := fmt.Fprintln(p.stdout, out)
	return exitWith(exitUnavailable, err)
}

func text(t *tokend.Token, _ tokenFlags) string { return t.AccessToken.Reveal() }

func wholeAnswer(t *tokend.Token, _ tokenFlags) string { return string(t.RawJSON()) }

func header(t *tokend.Token, _ tokenFlags) string {
	return "Authorization: Bearer " + t.AccessToken.Reveal()
}

func exports(t *tokend.Token, f tokenFlags) string {
	name := cmp.Or(f.variable, "ACCESS_TOKEN")
	return "export " + name + "=" + shellQuoted(t.AccessToken.Reveal()) +
		"\nexport " + name + "_EXPIRES_AT=" + shellQuoted(expiry(t.ExpiresAt))
}

// expiry is a time as every format writes it: RFC 3339, UTC, whole seconds.
func expiry(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// shellQuoted is one word of a POSIX shell, whatever s holds.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// github masks the token in the log of a job and hands it to later steps: as
// output access_token, or with --env as a variable.
func (p *program) github(ctx context.Context, f tokenFlags) error {
	target, name := "GITHUB_OUTPUT", "access_token"
	if f.variable != "" {
		target, name = "GITHUB_ENV", f.variable
	}
	path := os.Getenv(target)
	if path == "" {
		return hintf(exitConfig, "--format env is for shells; --env NAME writes $GITHUB_ENV, without it $GITHUB_OUTPUT is written",
			"%s is not set: this is no step of GitHub Actions", target)
	}
	t, err := p.fetch(ctx, f)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return exitf(exitUnavailable, "%s: %w", target, err)
	}
	begin, err := lineBegin(file)
	// Masked before it stands anywhere; % begins an escape of the runner's.
	if err == nil {
		err = p.print("::add-mask::" + strings.ReplaceAll(t.AccessToken.Reveal(), "%", "%25"))
	}
	if err == nil {
		expires := name + "_expires_at"
		if f.variable != "" {
			expires = name + "_EXPIRES_AT"
		}
		_, err = fmt.Fprintf(file, "%s%s=%s\n%s=%s\n", begin, name, t.AccessToken.Reveal(), expires, expiry(t.ExpiresAt))
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return exitWith(exitUnavailable, err)
}

// lineBegin is what a line put to the end of file needs before it: an earlier
// step may have left the last one open.
func lineBegin(file *os.File) (string, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return "", err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], end-1); err != nil || last[0] == '\n' {
		return "", err
	}
	return "\n", nil
}
