package tokenfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// content is the JSON form. It has no expires_in: the number would be wrong
// as soon as the file is older than a second.
type content struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresAt   string `json:"expires_at"`
	Scope       string `json:"scope,omitempty"`
	Audience    string `json:"audience,omitempty"`
	Client      string `json:"client"`
}

// render returns the file's content.
func (f *File) render(t *flow.Token) ([]byte, error) {
	token, until := t.AccessToken.Reveal(), t.Expiry.UTC().Format(time.RFC3339)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) || token == "" {
		return nil, fmt.Errorf("the token is empty, or contains a line break or another character that a header cannot carry")
	}
	switch f.cfg.Format {
	case "header":
		return []byte("Authorization: Bearer " + token), nil
	case "json":
		return json.Marshal(content{token, t.TokenType, until, t.Scope, t.Audience, f.source.Name()}) //nolint:gosec // the token is what the file is for
	case "env":
		return f.env(token, until)
	}
	return []byte(token), nil
}

// env returns lines that a shell, systemd and Docker read the same way, because
// nothing in them needs quotes.
func (f *File) env(token, until string) ([]byte, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return !plain(r) }) {
		return nil, hint.Errorf("format text or json", "the token contains a character that an env file would have to quote")
	}
	var b strings.Builder
	for _, name := range f.cfg.Variables {
		fmt.Fprintf(&b, "%s=%s\n%s_EXPIRES_AT=%s\n", name, token, name, until)
	}
	return []byte(b.String()), nil
}

// plain reports whether RFC 6750 section 2.1 allows r in a bearer token.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r)
}
