package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what the token endpoint said (RFC 6749 sections 5.1 and 5.2).
type answer struct {
	access, refresh, id, scope string
	scoped                     bool          // scope was said
	lifetime                   time.Duration // 0: not said
	code, description          string        // of an error answer
	date                       time.Time     // the answer's Date, zero when absent
	fault                      string        // why the access token must not be used; refresh may still be good
}

var answerNames = []string{
	"access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope", "error", "error_description",
}

// parseAnswer reads the body of an answer. It is lenient where that is harmless
// (expires_in in any form or absent, unknown members, order) and strict where a
// second reader could see something else. A refresh token is taken even when
// the rest is unusable: the tenant has rotated by then.
func parseAnswer(contentType string, body []byte) (answer, error) {
	if mt, _, err := mime.ParseMediaType(contentType); err != nil || mt != "application/json" && !strings.HasSuffix(mt, "+json") {
		return answer{}, fmt.Errorf("the answer's content-type is %q, not application/json", clean(contentType, 64))
	}
	m, err := members(body, answerNames...)
	if m == nil {
		return answer{}, fmt.Errorf("the answer %w", err)
	}
	var a answer
	var doubled doubledError
	if errors.As(err, &doubled) {
		if !slices.Contains(doubled, "refresh_token") {
			a.refresh = a.token(m, "refresh_token")
		}
		a.fault = "the answer " + doubled.Error()
		return a, nil
	}
	a.code, _ = text(m, "error")
	a.description, _ = text(m, "error_description")
	if v, ok := m["error"]; ok && string(v) != "null" && a.code == "" {
		a.code = "unknown"
	}
	a.scope, _ = text(m, "scope")
	a.scoped = a.scope != "" || string(m["scope"]) == `""` // which says that none was granted
	a.refresh = a.token(m, "refresh_token")
	a.access = a.token(m, "access_token")
	a.id = a.token(m, "id_token")
	if a.access == "" && a.fault == "" {
		a.fault = "the answer has no access_token"
	}
	if t, _ := text(m, "token_type"); !strings.EqualFold(t, "Bearer") {
		a.fault = fmt.Sprintf("unsupported token_type %q", clean(t, 32))
	}
	var positive bool
	if a.lifetime, positive = lifetime(m["expires_in"]); !positive {
		a.fault = fmt.Sprintf("expires_in is %s: the token has no lifetime", clean(string(m["expires_in"]), 32))
	}
	return a, nil
}

// token returns a member that is a token; a malformed one is a fault and not returned.
func (a *answer) token(m map[string]json.RawMessage, name string) string {
	s, ok := text(m, name)
	if !ok || !vschar(s) {
		a.fault = "the answer's " + name + " is not a token"
		return ""
	}
	return s
}

// vschar reports whether s is of visible ASCII only (RFC 6749 appendix A.12):
// anything else could break out of a header.
func vschar(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// maxLifetime bounds expires_in, so that nothing is served for ever.
const maxLifetime = 10 * 365 * 24 * time.Hour

// lifetime reads expires_in, in seconds: 3600, 3600.0 or "3600". What is no
// number counts as absent; ok is false when it says that there is no lifetime.
func lifetime(v json.RawMessage) (d time.Duration, ok bool) {
	s := strings.TrimSpace(strings.Trim(string(v), `"`))
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case len(v) == 0 || err != nil && f == 0 || f != f:
		return 0, true
	case f <= 0:
		return 0, false
	case f >= maxLifetime.Seconds():
		return maxLifetime, true
	}
	if d = time.Duration(f * float64(time.Second)); d <= 0 {
		return 0, false
	}
	return d, true
}

// clean makes foreign text fit for a log line: printable ASCII, at most n bytes.
func clean(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > n {
		s = s[:n] + "..."
	}
	return s
}
