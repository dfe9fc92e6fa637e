package format

import (
	"context"
	"encoding/json"
	"strings"

	"example.com/tokend/pkg/tokend"
)

// plain returns a form that prints only the token.
func plain(render func(*tokend.Token, Request) string) func(context.Context, Process, Request) ([]byte, error) {
	return func(ctx context.Context, p Process, r Request) ([]byte, error) {
		t, err := p.fetch(ctx, r)
		if err != nil {
			return nil, err
		}
		if r.IDToken && t.IDToken == "" {
			return nil, NoIDToken(t)
		}
		return line(render(t, r)), nil
	}
}

// fetch gets the token and warns when it is valid for less than requested.
func (p Process) fetch(ctx context.Context, r Request) (*tokend.Token, error) {
	s, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.token(ctx, s, r)
	if err == nil && !t.MinValiditySatisfied {
		p.Warn(tooShort(ctx, s, t, r))
	}
	return t, err
}

// token gets the token and warns of scopes that were not granted.
func (p Process) token(ctx context.Context, s Source, r Request) (*tokend.Token, error) {
	t, err := s.Token(ctx, r.TokenRequest)
	if err != nil {
		return nil, err
	}
	if lacking := t.Lacks(r.Scopes); len(lacking) > 0 {
		p.warnf("the token does not have the scopes %q; it has %q", strings.Join(lacking, " "), t.Scope)
	}
	return t, nil
}

// chosen returns the access token, or the ID token if it was requested.
func chosen(t *tokend.Token, r Request) string {
	if r.IDToken {
		return t.IDToken.Reveal()
	}
	return t.AccessToken.Reveal()
}

func text(t *tokend.Token, r Request) string { return chosen(t, r) }

func answer(t *tokend.Token, _ Request) string { return string(t.RawJSON()) }

func header(t *tokend.Token, r Request) string { return "Authorization: Bearer " + chosen(t, r) }

// headers returns the JSON that tools read from a command for HTTP headers.
func headers(t *tokend.Token, r Request) string {
	return `{"Authorization":` + quoted("Bearer "+chosen(t, r)) + `}`
}

func exports(t *tokend.Token, r Request) string {
	name := r.Variable
	if name == "" {
		name = "ACCESS_TOKEN"
	}
	return "export " + name + "=" + ShellQuoted(t.AccessToken.Reveal()) +
		"\nexport " + name + "_EXPIRES_AT=" + ShellQuoted(expiry(t.ExpiresAt))
}

// ShellQuoted returns s as one word of a POSIX shell, whatever s contains.
func ShellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quoted is s as a JSON string.
func quoted(s string) string { return string(encoded(s)) }

// encoded returns v as JSON. v has only strings, numbers and booleans, which always
// have a JSON form.
func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
