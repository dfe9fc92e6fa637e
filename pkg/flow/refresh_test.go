package flow

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func pkce(challenge, verifier string) bool {
	h := sha256.Sum256([]byte(verifier))
	return challenge == base64.RawURLEncoding.EncodeToString(h[:])
}

func bubble(t *testing.T, f func(t *testing.T, s *tenant)) {
	t.Helper()
	testKey()
	synctest.Test(t, func(t *testing.T) {
		s := newTenant()
		s.rest = &rest{t: t}
		f(t, s)
	})
}

func TestGet_LogsInThenServesFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		for range 3 {
			tok, err := c.Get(t.Context(), Request{})
			if err != nil || tok.AccessToken != "at-2" || tok.Remaining(time.Now()) != time.Hour {
				t.Fatalf("got %v, %v", tok, err)
			}
		}
		if n := s.count(""); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
		if g := c.grant(); g.Subject != "user|1" || g.Generation != 1 || g.RefreshToken != "rt-2" {
			t.Errorf("grant %+v", g)
		}
	})
}

func TestRefresh_Rotates(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		for i := range 5 {
			time.Sleep(59*time.Minute + time.Second)
			if _, err := c.Get(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
			if g := c.grant(); g.Generation != int64(2+i) || g.Rotation != RotationOn || g.Intent != nil {
				t.Fatalf("grant after refresh %d: %+v", i, g)
			}
		}
		if s.count("refresh_token") != 5 || s.revoked != 0 {
			t.Errorf("%d refreshes, %d families revoked", s.count("refresh_token"), s.revoked)
		}
	})
}

// TestRefresh_ConnectionRefused_ServesCachedToken tests row F01 of docs/guarantees.md.
func TestRefresh_ConnectionRefused_ServesCachedToken(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		down := false
		var attempts []time.Time
		c := s.loggedIn(t, func(cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if down {
					attempts = append(attempts, time.Now())
					return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
				}
				return s.RoundTrip(r)
			})}
		})
		down = true
		time.Sleep(59*time.Minute + time.Second) // in the mandatory window
		for range 600 {
			time.Sleep(98 * time.Millisecond)
			if _, err := c.Get(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(attempts) > 15 || len(attempts) < 3 {
			t.Errorf("%d attempts in a minute", len(attempts))
		}
		for i, a := range attempts[1:] {
			if a.Sub(attempts[i]) < 500*time.Millisecond {
				t.Errorf("attempt %d came after %v", i, a.Sub(attempts[i]))
			}
		}
		if g := c.grant(); g.State != GrantActive || g.Intent != nil {
			t.Errorf("the token was not sent, yet the grant is %s with intent %v", g.State, g.Intent)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRefresh_ConnectionRefused_TokenExpired tests row F02 of docs/guarantees.md.
func TestRefresh_ConnectionRefused_TokenExpired(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		down := false
		c := s.loggedIn(t, func(cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if down {
					return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
				}
				return s.RoundTrip(r)
			})}
		})
		down = true
		time.Sleep(2 * time.Hour)
		_, err := c.Get(t.Context(), Request{})
		e := wantError(t, err, ClassUnreachable, "connection refused")
		if e.RetryAfter < backoffMin {
			t.Errorf("RetryAfter %v", e.RetryAfter)
		}
		down = false
		time.Sleep(e.RetryAfter)
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Errorf("after the slot: %v", err)
		}
	})
}

// TestRefresh_NoAnswer tests row F03 of docs/guarantees.md.
func TestRefresh_NoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		s.keep(hang)
		time.Sleep(2 * time.Hour)
		start := time.Now()
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassTimeout, "no answer in time")
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("took %v", d)
		}
		if s.count("refresh_token") != 1 {
			t.Errorf("%d requests", s.count("refresh_token"))
		}
	})
}

// overWire serves s over a real connection.
func (s *tenant) overWire(t testing.TB) {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.issuer = srv.URL + "/"
}

// TestRefresh_TruncatedAnswer tests row F04 of docs/guarantees.md.
func TestRefresh_TruncatedAnswer(t *testing.T) {
	s := newTenant()
	s.overWire(t)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := s.loggedIn(t, func(cfg *Config) { cfg.HTTPClient = &http.Client{Transport: tr} })
	s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		rec := httptest.NewRecorder()
		next(rec, r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "4000")
		_, _ = w.Write(rec.Body.Bytes()[:100])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := c.Refresh(t.Context())
	wantError(t, err, ClassBadResponse, "incomplete")
	if n := s.count("refresh_token"); n != 1 {
		t.Errorf("%d requests", n)
	}
	if g := c.grant(); g.State != GrantUncertain {
		t.Errorf("state %s", g.State)
	}
}

// TestRefresh_InvalidAnswers tests rows F05, F06, F13 of docs/guarantees.md.
func TestRefresh_InvalidAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		h    handler
		part string
	}{
		"F05 maintenance page":  {raw(200, "text/html; charset=utf-8", "<h1>CANARY-body</h1>"), `content-type is "text/html; charset=utf-8"`},
		"F06 garbage":           {raw(200, "application/json", "{"), "JSON"},
		"no content type":       {raw(200, "", `nothing`), "content-type"},
		"no content":            {raw(204, "application/json", ``), "not a JSON object"},
		"cut off":               {raw(200, "application/json", `{"access_token":"a","refresh_token":"CANARY`), "not valid JSON"},
		"a page with a form":    {raw(200, "text/html", `<a href="?access_token=CANARY">`), "content-type"},
		"F13 64 MiB":            {raw(200, "application/json", strings.Repeat(" ", 64<<20)), "larger than 256 KiB"},
		"B05 no access token":   {raw(200, "application/json", `{"token_type":"Bearer"}`), "no access_token"},
		"a list":                {raw(200, "application/json", `[]`), "not a JSON object"},
		"two documents":         {raw(200, "application/json", `{"access_token":"a","token_type":"Bearer"}{}`), "after its JSON"},
		"not found without why": {raw(404, "text/plain", "nope"), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.script(tc.h)
				_, err := c.Refresh(t.Context())
				e := wantError(t, err, ClassBadResponse, tc.part)
				if strings.Contains(e.Error(), "CANARY") {
					t.Errorf("the body is in the error: %v", e)
				}
				if n := s.count("refresh_token"); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-2" {
					t.Errorf("the old token is valid, yet got %v, %v", tok, err)
				}
				if st := c.Status(); st.State != StateDegraded || st.Failure.Class != ClassBadResponse {
					t.Errorf("status %+v", st)
				}
			})
		})
	}
}

// TestRefresh_RateLimits tests row F07 of docs/guarantees.md.
func TestRefresh_RateLimits(t *testing.T) {
	withHeader := func(status int, code string, h ...string) handler {
		return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			for i := 0; i < len(h); i += 2 {
				w.Header().Set(h[i], h[i+1])
			}
			refuse(status, code)(w, r, next)
		}
	}
	reset := "946684807" // virtual time starts at 2000-01-01
	for name, tc := range map[string]struct {
		h    handler
		wait time.Duration
	}{
		"retry-after seconds": {withHeader(429, "too_many_requests", "Retry-After", "7"), 7 * time.Second},
		"retry-after date":    {withHeader(429, "too_many_requests", "Retry-After", "Sat, 01 Jan 2000 00:00:07 GMT"), 7 * time.Second},
		"reset":               {withHeader(429, "too_many_requests", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), 7 * time.Second},
		"auth0's 500":         {withHeader(500, "access_denied", "X-RateLimit-Limit", "10", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), 7 * time.Second},
		"a day, capped":       {withHeader(429, "too_many_requests", "Retry-After", "86400"), 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := s.loggedIn(t, nil)
				s.script(tc.h)
				_, err := c.Refresh(t.Context())
				if e := wantError(t, err, ClassRateLimited, ""); e.RetryAfter != tc.wait {
					t.Errorf("RetryAfter %v, want %v", e.RetryAfter, tc.wait)
				}
				time.Sleep(tc.wait - time.Second)
				_, err = c.Refresh(t.Context())
				if e := wantError(t, err, ClassRateLimited, ""); e.RetryAfter != time.Second {
					t.Errorf("RetryAfter %v a second before", e.RetryAfter)
				}
				if n := s.count("refresh_token"); n != 1 {
					t.Errorf("%d requests before the time", n)
				}
				time.Sleep(time.Second)
				if _, err := c.Refresh(t.Context()); err != nil || c.grant().State != GrantActive {
					t.Errorf("after it: %v, %v", err, c.grant())
				}
			})
		})
	}
}

// TestRefresh_ServerErrors_NoRotation tests row F08 of docs/guarantees.md.
func TestRefresh_ServerErrors_NoRotation(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.rotating = false
		c := s.loggedIn(t, func(c *Config) { c.Rotation = RotationOff })
		s.script(refuse(500, "server_error"), raw(502, "text/html", "bad gateway"))
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.count("refresh_token"); n != 3 {
			t.Errorf("%d requests", n)
		}
		s.keep(refuse(500, "server_error"))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassUnreachable, "")
		if n := s.count("refresh_token"); n != 6 || c.grant().State != GrantActive || c.grant().Intent != nil {
			t.Errorf("%d requests; %+v", n, c.grant())
		}
	})
}

// TestRefresh_InvalidGrant_NeedsLogin tests row F09 of docs/guarantees.md.
func TestRefresh_InvalidGrant_NeedsLogin(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.loggedIn(t, nil)
			s.script(refuse(status, "invalid_grant"))
			_, err := c.Refresh(t.Context())
			wantError(t, err, ClassLoginRequired, "invalid_grant")
			if !errors.Is(err, ErrLogin) {
				t.Error("not ErrLogin")
			}
			if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-2" {
				t.Errorf("a valid token is still served: got %v, %v", tok, err)
			}
			if g := c.grant(); g.State != GrantDead || g.RefreshToken != "rt-2" {
				t.Errorf("the token is kept: %v", g)
			}
			time.Sleep(2 * time.Hour)
			for range 5 {
				_, err = c.Get(t.Context(), Request{})
				wantError(t, err, ClassLoginRequired, "")
			}
			if n := s.count("refresh_token"); n != 1 {
				t.Errorf("%d requests", n)
			}
			if _, err := c.LoginHeadless(t.Context()); err != nil || c.Status().State != StateReady {
				t.Errorf("after a new login: %v, %s", err, c.Status().State)
			}
		})
	}
}

// TestRefresh_ClientRejected tests row F10 of docs/guarantees.md.
func TestRefresh_ClientRejected(t *testing.T) {
	for _, tc := range []struct {
		status int
		code   string
	}{{401, "invalid_client"}, {403, "unauthorized_client"}, {401, "access_denied"}} {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.loggedIn(t, nil)
			s.keep(refuse(tc.status, tc.code))
			refused := s.now()
			_, err := c.Refresh(t.Context())
			wantError(t, err, ClassClientRejected, tc.code)
			if g := c.grant(); g.State != GrantActive || g.RefreshToken != "rt-2" || c.Status().State != StateClientRejected {
				t.Errorf("%v, %s", g, c.Status().State)
			}
			stop := running(t, c)
			for _, minutes := range []int{1, 3, 7, 15, 30, 45} { // 1, 2, 4, 8, 15, 15 apart
				probe := refused.Add(time.Duration(minutes) * time.Minute)
				n := s.count("refresh_token")
				time.Sleep(probe.Add(-time.Second).Sub(s.now()))
				if s.count("refresh_token") != n {
					t.Errorf("%s: probed before minute %d", tc.code, minutes)
				}
				if time.Sleep(31 * time.Second); s.count("refresh_token") != n+1 {
					t.Errorf("%s: %d requests at minute %d", tc.code, s.count("refresh_token")-n, minutes)
				}
				refused = refused.Add(s.sentAt[len(s.sentAt)-1].Sub(probe)) // Run checks the clock twice a minute
			}
			stop()
			other := mustNew(t, *c.cfg) // the stored state holds for another process, too
			n := s.count("refresh_token")
			_, err = other.Get(t.Context(), Request{MinValidity: 55 * time.Minute})
			if err != nil || s.count("refresh_token") != n {
				t.Errorf("%s: a second process: %v, %d requests", tc.code, err, s.count("refresh_token")-n)
			}
			s.keep(nil)
			if _, err := other.Refresh(t.Context()); err != nil || other.Status().State != StateReady {
				t.Errorf("%s: refresh probes at once: %v, %s", tc.code, err, other.Status().State)
			}
		})
	}
}

// TestRefresh_TokenEndpointRedirects tests row F11 of docs/guarantees.md.
func TestRefresh_TokenEndpointRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other origin was asked") }))
	defer other.Close()
	for _, status := range []int{302, 307, 308} {
		s := newTenant()
		s.overWire(t)
		tr := &http.Transport{}
		c := s.loggedIn(t, func(cfg *Config) { cfg.HTTPClient = &http.Client{Transport: tr} })
		s.keep(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			http.Redirect(w, r, other.URL, status)
		})
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassRedirect, "redirects")
		if n := s.count("refresh_token"); n != 1 {
			t.Errorf("%d requests", n)
		}
		tr.CloseIdleConnections()
	}
}
