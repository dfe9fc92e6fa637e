package flow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// answer is an answer of the token endpoint (RFC 6749 sections 5.1 and 5.2).
type answer struct {
	access, refresh, id, scope string
	hasScope                   bool          // the answer has a scope
	lifetime                   time.Duration // 0: unknown
	code, description          string        // of an error answer
	date                       time.Time     // the answer's Date, zero when absent
	unusable                   string        // why the access token must not be used; refresh may still be valid
	complete                   bool          // the body is a complete JSON object
	standardError              bool          // code is a string member "error" of a JSON object (RFC 6749 section 5.2)
	noLifetime                 bool          // the only problem is that the access token has no lifetime
}

var answerNames = []string{
	"access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope", "error", "error_description",
}

// parseAnswer reads the body of an answer: a JSON object, or otherwise a form.
// Status and content type do not matter. It is lenient where that does no harm
// (expires_in in any form or absent, unknown members, any order) and strict where
// another parser could read something else. It returns the refresh token even if
// the rest is unusable, because the provider has rotated it.
func parseAnswer(contentType string, body []byte) (answer, error) {
	m, complete, err := parseBody(contentType, body)
	if m == nil {
		return answer{}, err
	}
	a := answer{complete: complete}
	var doubled doubledError
	if errors.As(err, &doubled) {
		if !slices.Contains(doubled, "refresh_token") {
			a.refresh = a.token(m, "refresh_token")
		}
		a.unusable = "the answer " + doubled.Error()
		return a, nil
	}
	a.code = errorCode(m)
	a.standardError = complete && a.code != "" && string(m["error"]) == strconv.Quote(a.code)
	a.description = errorText(m)
	a.scope, a.hasScope = scopeOf(m["scope"])
	a.refresh = a.token(m, "refresh_token")
	a.access = a.token(m, "access_token")
	a.id = a.token(m, "id_token")
	if a.access == "" && a.unusable == "" {
		a.unusable = "the answer has no access_token"
	}
	if t, ok := text(m, "token_type"); !ok || t != "" && !strings.EqualFold(t, "Bearer") {
		a.unusable = fmt.Sprintf("unsupported token_type %q", clean(cmp.Or(t, string(m["token_type"])), 32))
	}
	var positive bool
	if a.lifetime, positive = lifetime(m["expires_in"]); !positive {
		a.noLifetime = a.unusable == ""
		a.unusable = fmt.Sprintf("expires_in is %s: the token has no lifetime", clean(string(m["expires_in"]), 32))
	}
	return a, nil
}

// parseBody returns the members of a body that is a JSON object or, failing that,
// a form. It ignores a byte order mark before it and NUL bytes and white space
// after it. It uses the content type only in the error message.
func parseBody(contentType string, body []byte) (m map[string]json.RawMessage, complete bool, err error) {
	body = trimBody(body)
	m, err = members(body, answerNames...)
	if m != nil {
		return m, true, err
	}
	if form, ferr := formMembers(body); form != nil {
		return form, false, ferr
	}
	if mt, _, merr := mime.ParseMediaType(contentType); merr != nil || mt != "application/json" && !strings.HasSuffix(mt, "+json") {
		return nil, false, fmt.Errorf("the answer's content-type is %q, not application/json", clean(contentType, 64))
	}
	return nil, false, fmt.Errorf("the answer %w", err)
}

// trimBody removes what some servers put around their JSON.
func trimBody(body []byte) []byte {
	return bytes.TrimRight(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), "\x00 \t\r\n")
}

// formMembers reads a form that is an answer of a token endpoint (GitHub's
// default). It rejects text that only looks like a form, such as a page.
func formMembers(body []byte) (map[string]json.RawMessage, error) {
	if bytes.ContainsAny(body, "<>{}\"\\") || bytes.ContainsFunc(body, unicode.IsControl) {
		return nil, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil
	}
	if !form.Has("access_token") && !form.Has("refresh_token") && !form.Has("error") {
		return nil, nil
	}
	m := map[string]json.RawMessage{}
	var doubled doubledError
	for name, values := range form {
		m[name], _ = json.Marshal(values[0]) // a string always has a JSON form
		for _, k := range answerNames {
			if strings.EqualFold(name, k) && (len(values) > 1 || name != k) {
				doubled = append(doubled, k)
			}
		}
	}
	if doubled != nil {
		return m, doubled
	}
	return m, nil
}

// scopeOf reads the scope of an answer: a string, or a list of strings. Any other
// type grants nothing. said is false if the scope is absent.
func scopeOf(v json.RawMessage) (scope string, said bool) {
	if len(v) == 0 || string(v) == "null" {
		return "", false
	}
	var list []string
	if json.Unmarshal(v, &list) == nil {
		return strings.Join(list, " "), true
	}
	if json.Unmarshal(v, &scope) != nil {
		return "", true
	}
	return scope, true
}

// token returns a member that is a token. If it is malformed, it returns "" and
// makes the answer unusable.
func (a *answer) token(m map[string]json.RawMessage, name string) string {
	s, ok := text(m, name)
	if !ok || !vschar(s) {
		a.unusable = "the answer's " + name + " is not a token"
		return ""
	}
	return s
}

// vschar reports whether s has only visible ASCII (RFC 6749 appendix A.12). Other
// characters could break out of a header.
func vschar(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// maxLifetime bounds expires_in, so that no token is served forever.
const maxLifetime = 10 * 365 * 24 * time.Hour

// lifetime reads expires_in, in seconds: 3600, 3600.0 or "3600". A value that is
// not a number counts as absent. ok is false if the value says that the token has
// no lifetime.
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

// clean makes text of a provider safe for a log line: printable ASCII, at most n
// bytes.
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
