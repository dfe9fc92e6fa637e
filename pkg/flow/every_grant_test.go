package flow

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// way is one way to a token request; the tests run for all of them.
type way struct {
	grant  string // its grant_type
	change func(*Config)
	first  func(t *testing.T, c *Client) // prepares the client, for example with a grant
	token  func(t *testing.T, c *Client) error
}

func get(t *testing.T, c *Client) error { _, err := c.Get(t.Context(), Request{}); return err }

func force(t *testing.T, c *Client) error { _, err := c.Refresh(t.Context()); return err }

func loginHeadless(t *testing.T, c *Client) error { _, err := c.LoginHeadless(t.Context()); return err }

func device(t *testing.T, c *Client) error {
	l, err := c.Login(t.Context())
	if err != nil {
		return err
	}
	_, err = c.Finish(t.Context(), l, nil)
	c.stopWaiting()
	return err
}

// ways returns all of them.
func ways(t *testing.T) map[string]way {
	sources := credentialSources(t)
	from := func(s Source) func(*Config) {
		return func(c *Config) { c.Source, c.Scopes = s, []string{"offline_access"} }
	}
	return map[string]way{
		"refresh": {grant: "refresh_token", first: func(t *testing.T, c *Client) {
			if err := loginHeadless(t, c); err != nil {
				t.Fatal(err)
			}
		}, token: force, change: func(c *Config) { c.Scopes = []string{"offline_access"} }},
		"seed":               {grant: "refresh_token", change: from(Seed{RefreshToken: "rt-seed"}), token: get},
		"code":               {grant: "authorization_code", token: loginHeadless, change: func(c *Config) { c.Scopes = []string{"offline_access"} }},
		"client_credentials": {grant: "client_credentials", change: from(ClientCredentials{}), token: get},
		"token_exchange":     {grant: grantExchange, change: from(sources["token_exchange"]), token: get},
		"password":           {grant: grantRealm, change: from(sources["password"]), token: get},
		"device_code":        {grant: grantDevice, change: from(Device{}), token: device},
	}
}

// client returns a client of s that goes this way.
func (w way) client(t *testing.T, s *tenant, change func(*Config)) *Client {
	t.Helper()
	s.refresh["rt-seed"] = &family{current: "rt-seed", sub: "user|1"}
	base := strings.TrimSuffix(s.issuer, "/")
	s.discovery = func(m map[string]any) { m["device_authorization_endpoint"] = base + "/oauth/device/code" }
	s.paths["/oauth/device/code"] = answering(200, strings.ReplaceAll(deviceAnswer, "https://tenant.test", base))
	s.answer = func(b map[string]any) { delete(b, "id_token") }
	cfg := s.config()
	w.change(&cfg)
	if change != nil {
		change(&cfg)
	}
	c := mustNew(t, cfg)
	if w.first != nil {
		w.first(t, c)
	}
	return c
}

// answered are the answers of a token request and their results. A device poll
// continues if the provider may still answer differently.
var answered = map[string]struct {
	h       handler
	class   Class // "": a token
	part    string
	posts   int
	polls   int   // of a device login, if there are more
	ends    Class // of a device login, if it differs; "-": with a token
	nothing bool  // no token is kept
}{
	"F05 maintenance page":    {h: raw(200, "text/html", "<h1>CANARY-body</h1>"), class: ClassBadResponse, part: `content-type is "text/html"`, posts: 1, polls: 2, ends: "-"},
	"F06 garbage":             {h: raw(200, "application/json", "{"), class: ClassBadResponse, part: "JSON", posts: 1, polls: 2, ends: "-"},
	"F09 invalid_grant":       {h: refuse(403, "invalid_grant"), class: ClassLoginRequired, part: "invalid_grant", posts: 1},
	"F09 invalid_grant, 400":  {h: refuse(400, "invalid_grant"), class: ClassLoginRequired, part: "invalid_grant", posts: 1},
	"F10 invalid_client":      {h: refuse(401, "invalid_client"), class: ClassClientRejected, part: "invalid_client", posts: 1},
	"F10 Auth0's 401":         {h: refuse(401, "access_denied"), class: ClassClientRejected, part: "access_denied", posts: 1},
	"F10 unauthorized_client": {h: refuse(403, "unauthorized_client"), class: ClassClientRejected, part: "unauthorized_client", posts: 1},
	"F13 too large":           {h: raw(200, "application/json", strings.Repeat(" ", maxBody+1)), class: ClassBadResponse, part: "256 KiB", posts: 1, polls: 2, ends: "-"},
	"invalid_scope":           {h: refuse(400, "invalid_scope"), class: ClassRequest, part: "invalid_scope", posts: 1},
	"404":                     {h: raw(404, "text/plain", "CANARY"), class: ClassBadResponse, part: "404", posts: 1},
	"B01 fraction":            {h: body(`"access_token":"at","token_type":"Bearer","expires_in":3600.0`), posts: 1},
	"B02 text":                {h: body(`"access_token":"at","token_type":"Bearer","expires_in":"3600"`), posts: 1},
	"B03 absent":              {h: body(`"access_token":"at","token_type":"Bearer"`), posts: 1},
	"B04 zero":                {h: body(`"access_token":"at","token_type":"Bearer","expires_in":0`), class: ClassBadResponse, part: "expires_in is 0", posts: 1},
	"B05 no access token":     {h: body(`"token_type":"Bearer"`), class: ClassBadResponse, part: "no access_token", posts: 1},
	"B06 mac":                 {h: body(`"access_token":"CANARY","token_type":"mac"`), class: ClassBadResponse, part: `unsupported token_type "mac"`, posts: 1},
	"B07 line break":          {h: body(`"access_token":"CANARY\r\nX: y","token_type":"Bearer"`), class: ClassBadResponse, part: "access_token is not a token", posts: 1},
	"B08 twice":               {h: body(`"access_token":"CANARY","Access_Token":"b","token_type":"Bearer"`), class: ClassBadResponse, part: "twice", posts: 1},
	"B09 error under 200":     {h: body(`"error":"invalid_scope","access_token":"CANARY","token_type":"Bearer"`), class: ClassRequest, part: "invalid_scope", posts: 1},
}

// body answers with tokens, including a refresh token.
func body(members string) handler {
	return raw(200, "application/json", `{"refresh_token":"rt-new",`+members+`}`)
}

// All grants share one code path, so every answer has the same result: the class,
// one request, no body or secret in the error.
func TestEveryGrant_Answers(t *testing.T) {
	for row, tc := range answered {
		for name, w := range ways(t) {
			t.Run(row+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *tenant) {
					var log strings.Builder
					c := w.client(t, s, func(c *Config) { c.Log = logTo(&log) })
					before := s.count(w.grant)
					s.script(tc.h)
					err := w.token(t, c)
					class, posts := tc.class, tc.posts
					if name == "device_code" && tc.polls > 0 {
						posts, class = tc.polls, Class(strings.TrimPrefix(string(tc.ends), "-"))
					}
					if n := s.count(w.grant) - before; n != posts {
						t.Errorf("%d requests, want %d", n, posts)
					}
					if class == "" {
						if tok, gerr := c.Get(t.Context(), Request{}); err != nil || gerr != nil || tok.Remaining(time.Now()) <= 0 {
							t.Errorf("%v, %v, %v", err, gerr, tok)
						}
						return
					}
					e := wantError(t, err, class, tc.part)
					if text := e.Error() + log.String(); strings.Contains(text, "CANARY") {
						t.Errorf("a secret or the body is in %s", text)
					}
				})
			})
		}
	}
}

// An unreachable provider: the class in time, and a token as soon as it is
// reachable.
func TestEveryGrant_Unreachable(t *testing.T) {
	for name, w := range ways(t) {
		if name == "device_code" { // it continues to poll: TestDevice_Polling
			continue
		}
		t.Run("F02, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				down := false
				c := w.client(t, s, func(c *Config) {
					c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						if down && r.Method == http.MethodPost {
							return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
						}
						return s.RoundTrip(r)
					})}
				})
				down = true
				e := wantError(t, w.token(t, c), ClassUnreachable, "connection refused")
				if e.RetryAfter < backoffMin {
					t.Errorf("again in %v", e.RetryAfter)
				}
				down = false
				time.Sleep(e.RetryAfter)
				if err := w.token(t, c); err != nil {
					t.Errorf("after the slot: %v", err)
				}
			})
		})
		t.Run("F03, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := w.client(t, s, nil)
				before, begun := s.count(w.grant), time.Now()
				s.keep(hang)
				wantError(t, w.token(t, c), ClassTimeout, "no answer in time")
				if d := time.Since(begun); d > postTimeout || s.count(w.grant) != before+1 {
					t.Errorf("%v, %d requests", d, s.count(w.grant)-before)
				}
			})
		})
		t.Run("F07, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := w.client(t, s, nil)
				before := s.count(w.grant)
				s.script(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
					w.Header().Set("Retry-After", "7")
					reply(w, 429, map[string]string{"error": "too_many_requests"})
				})
				if e := wantError(t, w.token(t, c), ClassRateLimited, ""); e.RetryAfter != 7*time.Second {
					t.Errorf("again in %v", e.RetryAfter)
				}
				time.Sleep(6 * time.Second)
				wantError(t, w.token(t, c), ClassRateLimited, "")
				if n := s.count(w.grant) - before; n != 1 {
					t.Errorf("%d requests within the limit", n)
				}
				time.Sleep(time.Second)
				if err := w.token(t, c); err != nil {
					t.Errorf("after it: %v", err)
				}
			})
		})
	}
}

// A request without a refresh token is repeated at once, three times in total
// (F08).
func TestEveryGrant_ServerErrors(t *testing.T) {
	for name, w := range ways(t) {
		want := map[string]int{"client_credentials": 3, "token_exchange": 3, "password": 3, "device_code": 3}[name]
		if want == 0 {
			continue
		}
		t.Run("F08, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c := w.client(t, s, nil)
				s.script(refuse(500, "server_error"), raw(502, "text/html", "bad gateway"))
				if err := w.token(t, c); err != nil || s.count(w.grant) != want {
					t.Errorf("%v, %d requests", err, s.count(w.grant))
				}
			})
		})
	}
}

// F04, F11 and F14 over a real connection.
func TestEveryGrant_OverTheWire(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other origin was asked") }))
	defer other.Close()
	truncated := func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		rec := httptest.NewRecorder()
		next(rec, r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "4000")
		_, _ = w.Write(rec.Body.Bytes()[:40])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	away := func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { http.Redirect(w, r, other.URL, 307) }
	for name, w := range ways(t) {
		if name == "device_code" { // waits for real seconds: TestDevice_Polling, TestDevice_LoginFails
			continue
		}
		for row, tc := range map[string]struct {
			h     handler
			class Class
			part  string
		}{
			"F04 truncated": {truncated, ClassBadResponse, "incomplete"},
			"F11 redirect":  {away, ClassRedirect, "not followed"},
		} {
			t.Run(row+", "+name, func(t *testing.T) {
				s := newTenant()
				s.overWire(t)
				tr := &http.Transport{}
				defer tr.CloseIdleConnections()
				c := w.client(t, s, func(c *Config) { c.HTTPClient = &http.Client{Transport: tr} })
				before := s.count(w.grant)
				s.script(tc.h)
				wantError(t, w.token(t, c), tc.class, tc.part)
				if n := s.count(w.grant) - before; n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
}

// Printing, logging and errors show no secret, for every grant.
//
// Row X27 of docs/guarantees.md.
func TestEveryGrant_NoSecretIsPrinted(t *testing.T) {
	for name, w := range ways(t) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				var out strings.Builder
				c := w.client(t, s, func(c *Config) { c.Log = logTo(&out) })
				echo := func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
					text := ""
					for _, v := range r.Form {
						text += " " + strings.Join(v, " ")
					}
					reply(w, 400, map[string]string{"error": "invalid_scope", "error_description": text[1:]})
				}
				for _, h := range []handler{echo, refuse(403, "invalid_grant"), drop, nil} {
					s.script(h)
					err := w.token(t, c)
					_, _ = out.WriteString(sprint(err))
					logTo(&out).Info("x", "err", err, "cfg", c.cfg.Source)
					_, _ = out.WriteString(sprint(c.cfg.Source) + sprint(c.Status()) + sprint(c.grant()))
					time.Sleep(time.Hour)
				}
				for _, secret := range []string{"CANARY", "rt-seed", "rt-1", "rt-2"} {
					if i := strings.Index(out.String(), secret); i >= 0 {
						t.Errorf("%q is in …%s", secret, out.String()[max(0, i-200):i+len(secret)])
					}
				}
			})
		})
	}
}
