package flow

import (
	"net/http"
	"strings"
	"testing"
)

// The reason phrase and the content type of an answer are the provider's text:
// they bring no secret of the request into an error, and no escape sequence into
// a terminal.
func TestStatusLine_NoSecretOrEscape(t *testing.T) {
	for name, answer := range map[string]struct {
		code int
		kind string
		body string
	}{
		"no error code":  {418, "text/plain", `{}`},
		"server error":   {503, "text/plain", `{}`},
		"created":        {201, "application/json", `{}`},
		"a content-type": {200, "text/CANARY-secret", `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				loud := false
				c := s.loggedIn(t, func(c *Config) {
					c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						resp, err := s.RoundTrip(r)
						if err == nil && loud {
							resp.Status = "418 CANARY-secret \x1b[31m"
						}
						return resp, err
					})}
				})
				loud = true
				s.keep(raw(answer.code, answer.kind, answer.body))
				_, err := c.Refresh(t.Context())
				if err == nil || strings.Contains(strings.ToLower(err.Error()), "canary-secret") || strings.ContainsRune(err.Error(), '\x1b') {
					t.Errorf("got %q", err)
				}
			})
		})
	}
}
