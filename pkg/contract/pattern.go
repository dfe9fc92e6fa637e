package contract

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// variables are the values of {{name}}.
type variables map[string]string

// lazy compiles an expression when it is first used: mockauth0 links this package, and
// starts faster without it.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var variable = lazy(`\{\{([a-z0-9_]+)\}\}`)

// fill replaces the variables of a text; unknown ones are an error.
func (v variables) fill(s string) (string, error) {
	var missing error
	out := variable().ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-2]
		value, known := v[name]
		if !known && missing == nil {
			missing = fmt.Errorf("no value for {{%s}}", name)
		}
		return value
	})
	return out, missing
}

func (v variables) fillMap(m map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(m))
	for k, s := range m {
		filled, err := v.fill(s)
		if err != nil {
			return nil, err
		}
		out[k] = filled
	}
	return out, nil
}

// fillValue replaces the variables of a JSON value.
func (v variables) fillValue(x any) (any, error) {
	var err error
	switch x := x.(type) {
	case string:
		return v.fill(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			if out[i], err = v.fillValue(x[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *object:
		out := &object{keys: x.keys, values: map[string]any{}}
		for k, item := range x.values {
			if out.values[k], err = v.fillValue(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return x, nil
}

// wildcard is <name> or <name:argument> in an expected text.
var wildcard = lazy(`<([a-z_]+)(?::([0-9]+))?>`)

// expression returns the regular expression of a wildcard, or "" for other names.
// <plan:n> is a number of the tenant's plan: n on a mock, any number on a real tenant.
func expression(name, arg string, isMock bool) string {
	switch name {
	case "text":
		return `[^\r\n]+`
	case "rest":
		return `[^\r\n]*`
	case "int", "seconds":
		return `[0-9]+`
	case "unix":
		return `[0-9]{10}`
	case "hex":
		return `[0-9a-f]{` + arg + `}`
	case "chars":
		return `[A-Za-z0-9_-]{` + arg + `}`
	case "code":
		return `[A-Za-z0-9_-]{16,128}`
	case "user_code":
		return `[A-Z0-9]{4}-[A-Z0-9]{4}`
	case "plan":
		if isMock {
			return arg
		}
		return `[0-9]+`
	}
	return ""
}

// matches compares a text with an expected one that may contain wildcards.
func matches(want, got string, isMock bool) bool {
	if want == "<login_state>" {
		return isLoginState(got)
	}
	if !strings.Contains(want, "<") {
		return want == got
	}
	var re strings.Builder
	re.WriteString(`\A`)
	rest := want
	for rest != "" {
		at := wildcard().FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		arg := ""
		if at[4] >= 0 {
			arg = rest[at[4]:at[5]]
		}
		e := expression(rest[at[2]:at[3]], arg, isMock)
		if e == "" {
			e = regexp.QuoteMeta(rest[at[0]:at[1]])
		}
		re.WriteString(regexp.QuoteMeta(rest[:at[0]]) + e)
		rest = rest[at[1]:]
	}
	re.WriteString(regexp.QuoteMeta(rest) + `\z`)
	compiled, err := regexp.Compile(re.String())
	return err == nil && compiled.MatchString(got)
}

// isLoginState reports whether a text has the recorded form of the state of the
// tenant's pages: a msgpack map of short strings in base64url, with first key h, so
// it starts with hKFo2S.
func isLoginState(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 2 || b[0]&0xf0 != 0x80 || !strings.HasPrefix(s, "hKFo2S") {
		return false
	}
	members := map[string]string{}
	n, rest := int(b[0]&0x0f), b[1:]
	for range n {
		var key, value string
		var ok bool
		if key, rest, ok = shortString(rest); !ok {
			return false
		}
		if value, rest, ok = shortString(rest); !ok {
			return false
		}
		members[key] = value
	}
	return len(rest) == 0 && members["h"] != "" && members["n"] != "" && members["tid"] != "" && members["cid"] != ""
}

// shortString reads a msgpack fixstr or str 8.
func shortString(b []byte) (s string, rest []byte, ok bool) {
	n, at := 0, 1
	switch {
	case len(b) == 0:
		return "", nil, false
	case b[0]&0xe0 == 0xa0:
		n = int(b[0] & 0x1f)
	case b[0] == 0xd9 && len(b) > 1:
		n, at = int(b[1]), 2
	default:
		return "", nil, false
	}
	if len(b) < at+n {
		return "", nil, false
	}
	return string(b[at : at+n]), b[at+n:], true
}

var (
	subject   = lazy(`\A[\w.-]+\|\S+\z`)
	isoMillis = lazy(`\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z`)
	base64URL = lazy(`\A[A-Za-z0-9_-]+\z`)
	opaque    = lazy(`\A[A-Za-z0-9._~+/=-]{20,}\z`)
	jws       = lazy(`\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\z`)
)

// matchesSetting compares a number with "$setting:n": n on a mock, any positive
// number on a real tenant.
func matchesSetting(kind string, got any, isMock bool) (ok, known bool) {
	n, known := strings.CutPrefix(kind, "$setting:")
	if !known {
		return false, false
	}
	number, isNumber := got.(json.Number)
	if isMock {
		return isNumber && number.String() == n, true
	}
	i, err := number.Int64()
	return isNumber && err == nil && i > 0, true
}

// matchesKind compares a value with a "$kind". known is false for another word.
func matchesKind(kind string, got any, issuer string) (ok, known bool) {
	s, isString := got.(string)
	switch kind {
	case "$any":
		return true, true
	case "$bool":
		_, ok := got.(bool)
		return ok, true
	case "$int":
		n, isNumber := got.(json.Number)
		_, err := n.Int64()
		return isNumber && err == nil, true
	case "$string":
		return isString && s != "", true
	case "$sub":
		return isString && subject().MatchString(s), true
	case "$iso_ms":
		return isString && isoMillis().MatchString(s), true
	case "$b64url":
		return isString && base64URL().MatchString(s), true
	case "$b64_der":
		b, err := base64.StdEncoding.DecodeString(s)
		return err == nil && len(b) > 2 && b[0] == 0x30, true
	case "$jwt":
		return isString && jws().MatchString(s) && joseHeader(s) != nil, true
	case "$opaque", "$opaque_new":
		return isString && isOpaque(s, issuer), true
	}
	return false, false
}

// joseHeader returns the header of a compact JOSE object, or nil.
func joseHeader(token string) *object {
	first, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || len(b) == 0 {
		return nil
	}
	h, err := parseObject(b)
	if err != nil {
		return nil
	}
	return h
}

// isOpaque reports whether a string is an opaque token: not a JWS, and a JWE only in
// the form of recent tenants (dir, A256GCM, an empty key).
func isOpaque(s, issuer string) bool {
	h := joseHeader(s)
	parts := strings.Split(s, ".")
	switch {
	case !opaque().MatchString(s):
		return false
	case h == nil:
		return true
	case len(parts) != 5:
		return false
	}
	return parts[1] == "" && h.text("alg") == "dir" && h.text("enc") == "A256GCM" && h.text("iss") == issuer
}
