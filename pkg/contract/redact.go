package contract

import (
	"net/url"
	"slices"
	"strings"
	"sync"
)

// redactor masks secrets in a report: those of the target and those that the tenant
// issued.
type redactor struct {
	mu    sync.Mutex
	names map[string]string // secret → what it is
}

// confidential are the members and parameters to mask.
var confidential = []string{
	"access_token", "refresh_token", "id_token", "code", "device_code", "user_code", "mfa_token", "request_uri",
	"client_secret", "client_assertion", "code_verifier", "password",
}

const shortestSecret = 5 // a shorter one could be part of a word

func (r *redactor) hide(name, value string) {
	if len(value) < shortestSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]string{}
	}
	r.names[value] = name
	if escaped := url.QueryEscape(value); escaped != value {
		r.names[escaped] = name
	}
}

// hideAll masks the confidential values of an answer.
func (r *redactor) hideAll(a *answer) {
	if o, err := parseObject(a.body); err == nil {
		for _, k := range o.keys {
			if slices.Contains(confidential, k) {
				r.hide(k, o.text(k))
			}
		}
	}
	if u, err := url.Parse(a.header.Get("Location")); err == nil {
		fragment, _ := url.ParseQuery(u.EscapedFragment())
		for _, q := range []url.Values{u.Query(), fragment} {
			for _, k := range append(confidential, "state") {
				if k != "state" || strings.HasPrefix(u.Path, "/u/") || strings.HasPrefix(u.Path, "/authorize/") {
					r.hide(k, q.Get(k))
				}
			}
		}
	}
	for _, c := range a.cookies {
		r.hide("cookie", c.Value)
	}
}

// josePattern finds JWTs and JWEs that the rules above missed.
var josePattern = lazy(`eyJ[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){2,4}`)

// apply masks every secret in a text, longest first.
func (r *redactor) apply(s string) string {
	r.mu.Lock()
	secrets := make([]string, 0, len(r.names))
	for secret := range r.names {
		secrets = append(secrets, secret)
	}
	slices.SortFunc(secrets, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, "["+r.names[secret]+"]")
	}
	r.mu.Unlock()
	return josePattern().ReplaceAllString(s, "[token]")
}
