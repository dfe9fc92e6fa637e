package flow

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// hasCredential answers a request with a credential instead of a code, with a
// refresh token if offline_access was requested. s.mu is held.
func (s *tenant) hasCredential(w http.ResponseWriter, form url.Values, body map[string]any) bool {
	code := ""
	if s.refuses != nil {
		code = s.refuses(form)
	}
	if code != "" {
		status := 403
		if code == "too_many_attempts" || code == "slow_down" {
			status = 429
		}
		reply(w, status, map[string]string{"error": code, "error_description": "no, says the tenant"})
		return false
	}
	if strings.Contains(form.Get("scope"), "offline_access") || form.Get("grant_type") == grantDevice {
		rt := fmt.Sprintf("rt-%d", s.n)
		s.refresh[rt] = &family{current: rt, sub: "user|1"}
		body["refresh_token"] = rt
	}
	if scope := form.Get("scope"); scope != "" {
		body["scope"] = scope
	}
	return true
}

// refuse sets what credentials are answered with.
func (s *tenant) refuse(f func(url.Values) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = f
}

// formTo answers 200 and keeps the form of the request.
func formTo(v *url.Values) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		*v = r.Form
	}
}
