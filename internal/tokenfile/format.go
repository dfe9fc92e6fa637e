package tokenfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// content is the JSON form. It has no seconds that are left: a file that is not
// written again would tell them wrong.
type content struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresAt   string `json:"expires_at"`
	Scope       string `json:"scope,omitempty"`
	Audience    string `json:"audience,omitempty"`
	Client      string `json:"client"`
}

// render is the file's whole content.
func (f *File) render(t *flow.Token) ([]byte, error) {
	token, until := t.AccessToken.Reveal(), t.Expiry.UTC().Format(time.RFC3339)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) || token == "" {
		return nil, fmt.Errorf("the token is empty, or holds a line break or another character that no header can carry")
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

// env is lines that a shell, systemd and Docker read alike, as nothing in them
// has to be quoted.
func (f *File) env(token, until string) ([]byte, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return !plain(r) }) {
		return nil, hint.Errorf("format text or json", "the token holds a character that an env file would have to quote")
	}
	var b strings.Builder
	for _, name := range f.cfg.Variables {
		fmt.Fprintf(&b, "%s=%s\n%s_EXPIRES_AT=%s\n", name, token, name, until)
	}
	return []byte(b.String()), nil
}

// plain reports whether r may be in a bearer token as RFC 6750 section 2.1 has them.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r)
}
