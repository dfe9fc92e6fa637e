package flow

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGitHubActions(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer other.Close()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, tc := range map[string]struct {
		h     http.HandlerFunc
		class Class // "": a token
		part  string
	}{
		"good":              {h: answer(200, `{"count":1,"value":"CANARY-jwt"}`)},
		"redirect":          {h: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) }, class: ClassRedirect, part: "not followed"},
		"unauthorized":      {h: answer(401, `CANARY-jwt`), class: ClassBadResponse, part: "id-token: write"},
		"down":              {h: answer(503, ``), class: ClassUnreachable, part: "503"},
		"too many":          {h: answer(429, ``), class: ClassUnreachable, part: "429"},
		"no JSON":           {h: answer(200, `CANARY-jwt`), class: ClassBadResponse, part: `"value"`},
		"no value":          {h: answer(200, `{"count":0}`), class: ClassBadResponse, part: `"value"`},
		"value twice":       {h: answer(200, `{"value":"CANARY-a","Value":"CANARY-b"}`), class: ClassBadResponse, part: `"value"`},
		"value not a token": {h: answer(200, `{"value":"CANARY a"}`), class: ClassBadResponse, part: `"value"`},
		"huge":              {h: answer(200, strings.Repeat(" ", maxBody+1)), class: ClassBadResponse, part: "256 KiB"},
		"cut off":           {h: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, class: ClassUnreachable, part: "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r; tc.h(w, r) }))
			defer srv.Close()
			subject, err := GitHubActions(srv.URL+"/token?api-version=2.0", "CANARY-request", "https://tenant.test/")
			if err != nil {
				t.Fatal(err)
			}
			v, err := subject(t.Context())
			got := <-asked
			if got.Header.Get("Authorization") != "Bearer CANARY-request" || got.URL.RawQuery != "api-version=2.0&audience=https%3A%2F%2Ftenant.test%2F" {
				t.Errorf("sent %s, %s", got.URL, got.Header)
			}
			if tc.class == "" {
				if err != nil || v != "CANARY-jwt" {
					t.Errorf("%v, %v", v.Reveal(), err)
				}
				return
			}
			if e := wantError(t, err, tc.class, tc.part); strings.Contains(e.Error(), "CANARY") || v != "" {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestGitHubActions_Errors(t *testing.T) {
	for name, tc := range map[string]struct{ url, token, part string }{
		"no URL":         {"", "t", "is missing"},
		"no token":       {"https://a.test/", "", "is missing"},
		"plain":          {"http://a.test/", "t", "not an https URL"},
		"near loopback":  {"http://127.0.0.1.a.test/", "t", "not an https URL"},
		"user":           {"https://u:CANARY@a.test/", "t", "not an https URL"},
		"no host":        {"https:///x", "t", "not an https URL"},
		"two-line token": {"https://a.test/", "CANARY\nX: y", "not a token"},
	} {
		_, err := GitHubActions(tc.url, Secret(tc.token), "")
		if e := wantError(t, err, ClassConfig, tc.part); strings.Contains(e.Error(), "CANARY") || e.Hint == "" {
			t.Errorf("%s: %v", name, e)
		}
	}
	if _, err := GitHubActions("https://a.test/", "t", ""); err != nil {
		t.Error(err)
	}
}

// A job's token differs at each request, which does not make it retry a rejected
// exchange.
func TestExchange_Rejected_NewSubjectTokenIsNotTried(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.keep(refuse(403, "invalid_grant"))
		n := 0
		source := Exchange{SubjectTokenType: "urn:x", SubjectToken: func(context.Context) (Secret, error) {
			n++
			return Secret(strings.Repeat("x", n)), nil
		}}
		c := s.newCredentialClient(t, source, nil)
		defer running(t, c)()
		for range 100 {
			_, err := c.Get(t.Context(), Request{})
			wantError(t, err, ClassLoginRequired, "invalid_grant")
		}
		if n != 1 || s.count("") != 1 {
			t.Errorf("%d tokens, %d exchanges", n, s.count(""))
		}
		s.keep(nil)
		if _, err := c.LoginHeadless(t.Context()); err != nil || n != 2 {
			t.Errorf("%v, %d tokens", err, n)
		}
	})
}
