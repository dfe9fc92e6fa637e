package flow

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const deviceAnswer = `{"device_code":"CANARY-device","user_code":"QTZL-MCBW","verification_uri":"https://tenant.test/activate",` +
	`"verification_uri_complete":"https://tenant.test/activate?user_code=QTZL-MCBW","expires_in":900,"interval":5}`

// person confirms or rejects a device login, and the tenant answers polls with
// the decision.
type person struct {
	asked    url.Values // of the last device authorization request
	decision string     // an error code; "": confirmed
	answer   http.HandlerFunc
}

// withDevice adds the device flow to s.
func (s *tenant) withDevice(t testing.TB, change func(*Config)) (*Client, *person) {
	t.Helper()
	p := &person{decision: "authorization_pending"}
	s.discovery = func(m map[string]any) { m["device_authorization_endpoint"] = "https://tenant.test/oauth/device/code" }
	s.paths["/oauth/device/code"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		s.mu.Lock()
		p.asked = r.Form
		h := p.answer
		s.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(deviceAnswer))
	}
	s.refuse(func(url.Values) string { return p.decision })
	return s.newCredentialClient(t, Device{}, change), p
}

func (s *tenant) decide(p *person, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.decision = code
}

func TestDevice_Login(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, p := s.withDevice(t, nil)
		defer running(t, c)()
		_, err := c.Get(t.Context(), Request{})
		wantError(t, err, ClassLoginRequired, "log in")
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l.URL != "https://tenant.test/activate?user_code=QTZL-MCBW" || l.UserCode != "QTZL-MCBW" || l.VerificationURI != "https://tenant.test/activate" ||
			!l.Expires.Equal(time.Now().Add(15*time.Minute)) || l.Interval != 5 {
			t.Errorf("%+v", l)
		}
		st := c.Status()
		if d := st.DeviceLogin; st.State != StateLoginRequired || d == nil || d.URL != l.URL || d.UserCode != l.UserCode || !d.Expires.Equal(l.Expires) || d.Failure != nil {
			t.Errorf("%+v", st)
		}
		time.Sleep(21 * time.Second) // no caller waits
		if n := s.count(grantDevice); n != 4 {
			t.Errorf("%d polls in 21 s", n)
		}
		s.decide(p, "")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := c.Status(); st.State != StateReady || st.DeviceLogin != nil || st.Subject != "user|1" || st.Generation != 1 {
			t.Errorf("%+v", st)
		}
		text := p.asked.Encode() + "\n" + s.post(0).Encode() + "\n"
		golden(t, "form-device_code.golden", []byte(text))
		if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 2 || s.count(grantDevice) != 5 || s.count("refresh_token") != 1 {
			t.Errorf("%v, %v: %d polls, %d refreshes", g, err, s.count(grantDevice), s.count("refresh_token"))
		}
		if _, err := c.Finish(t.Context(), l, nil); err != nil { // Finish after the end returns the same
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if n := s.count(grantDevice); n != 5 {
			t.Errorf("%d polls in the end", n)
		}
	})
}

// RFC 8628 section 3.5, poll by poll: the answer, and the time until the next
// poll.
func TestDevice_Polling(t *testing.T) {
	limited := func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Retry-After", "90")
		reply(w, 429, map[string]string{"error": "too_many_requests"})
	}
	pending, slow, down := refuse(403, "authorization_pending"), refuse(429, "slow_down"), refuse(503, "")
	for name, tc := range map[string]struct {
		answers []handler
		waits   []int // seconds
	}{
		"pending":           {[]handler{pending, pending, nil}, []int{5, 5, 5}},
		"pending with 400":  {[]handler{refuse(400, "authorization_pending"), refuse(400, "slow_down"), nil}, []int{5, 5, 10}},
		"slow_down adds up": {[]handler{slow, pending, slow, pending, nil}, []int{5, 10, 10, 15, 15}},
		"connection lost":   {[]handler{drop, drop, drop, drop, drop, pending, nil}, []int{5, 10, 20, 40, 60, 60, 5}},
		"down":              {[]handler{down, down, nil}, []int{5, 10, 20}},
		"maintenance":       {[]handler{raw(200, "text/html", "x"), nil}, []int{5, 10}},
		"rate limit":        {[]handler{limited, nil}, []int{5, 90}},
		"slow, then down":   {[]handler{slow, down, pending, nil}, []int{5, 10, 20, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c, p := s.withDevice(t, nil)
				p.decision = ""
				s.script(tc.answers...)
				at := time.Now()
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Finish(t.Context(), l, nil); err != nil {
					t.Fatal(err)
				}
				if len(s.sentAt) != len(tc.waits) {
					t.Fatalf("%d polls", len(s.sentAt))
				}
				for i, sent := range s.sentAt {
					if d := sent.Sub(at); d != time.Duration(tc.waits[i])*time.Second {
						t.Errorf("poll %d after %v, want %d s", i+1, d, tc.waits[i])
					}
					at = sent
				}
			})
		})
	}
}

func TestDevice_LoginFails(t *testing.T) {
	for name, tc := range map[string]struct {
		answer handler
		class  Class
		part   string
		after  time.Duration
		state  ClientState
	}{
		"denied":              {refuse(403, "access_denied"), ClassRequest, "access_denied", 5 * time.Second, StateLoginRequired},
		"expired":             {refuse(403, "expired_token"), ClassLoginRequired, "expired_token", 5 * time.Second, StateLoginRequired},
		"lost":                {refuse(403, "invalid_grant"), ClassLoginRequired, "invalid_grant", 5 * time.Second, StateLoginRequired},
		"client rejected":     {refuse(401, "invalid_client"), ClassClientRejected, "invalid_client", 5 * time.Second, StateLoginRequired},
		"wrong secret":        {refuse(401, "access_denied"), ClassClientRejected, "access_denied", 5 * time.Second, StateLoginRequired},
		"not allowed":         {refuse(403, "unauthorized_client"), ClassClientRejected, "unauthorized_client", 5 * time.Second, StateLoginRequired},
		"redirect":            {func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { http.Redirect(w, r, "/x", 307) }, ClassRedirect, "", 5 * time.Second, StateLoginRequired},
		"404":                 {raw(404, "text/plain", "no"), ClassBadResponse, "404", 5 * time.Second, StateLoginRequired},
		"not confirmed":       {refuse(403, "authorization_pending"), ClassLoginRequired, "expired before anybody", 15 * time.Minute, StateLoginRequired},
		"an ID token is bad":  {nil, ClassBadResponse, "sub", 5 * time.Second, StateLoginRequired},
		"no token in it, B05": {raw(200, "application/json", `{"refresh_token":"CANARY-r","token_type":"Bearer"}`), ClassBadResponse, "no access_token", 5 * time.Second, StateLoginRequired},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				c, p := s.withDevice(t, nil)
				defer running(t, c)()
				p.decision = ""
				s.claims = func(m map[string]any) { delete(m, "sub") }
				s.keep(tc.answer)
				begun := time.Now()
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Finish(t.Context(), l, nil)
				e := wantError(t, err, tc.class, tc.part)
				if d := time.Since(begun); d != tc.after || strings.Contains(e.Error(), "CANARY") {
					t.Errorf("after %v: %v", d, e)
				}
				synctest.Wait()
				st := c.Status()
				if d := st.DeviceLogin; st.State != tc.state || d == nil || d.Failure == nil || d.Failure.Class != tc.class {
					t.Errorf("%+v, %+v", st, d)
				}
				if _, err := c.cfg.Store.Load(t.Context(), demoKey); !errors.Is(err, ErrNotFound) {
					t.Errorf("stored: %v", err)
				}
				n := s.count("")
				s.claims = nil
				s.keep(nil)
				time.Sleep(time.Hour)
				if s.count("") != n {
					t.Error("polled after the end")
				}
				again, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Finish(t.Context(), again, nil); err != nil || c.Status().State != StateReady || c.Status().DeviceLogin != nil {
					t.Errorf("a new login: %v, %+v", err, c.Status())
				}
			})
		})
	}
}

// A caller stops waiting, others start: one code, one polling goroutine.
func TestDevice_LoginIsShared(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, p := s.withDevice(t, nil)
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		_, err = c.Finish(ctx, l, nil)
		wantError(t, err, ClassTimeout, "not confirmed yet")
		if same, err := c.Login(t.Context()); err != nil || same.DeviceCode != l.DeviceCode || s.called("/oauth/device/code") != 1 {
			t.Errorf("%v, %v", same, err)
		}
		time.Sleep(14 * time.Second)
		if n := s.count(""); n != 4 {
			t.Errorf("%d polls in 21 s", n)
		}
		time.Sleep(8 * time.Minute) // more than half of its time is over: a new code, and no polls for the old one
		s.mu.Lock()
		p.answer = answering(200, strings.Replace(deviceAnswer, "CANARY-device", "CANARY-second", 1))
		before := len(s.posts)
		s.mu.Unlock()
		if _, err := c.Login(t.Context()); err != nil || s.called("/oauth/device/code") != 2 {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for i := before; i < s.count(""); i++ {
			if code := s.post(i).Get("device_code"); code != "CANARY-second" {
				t.Errorf("polled with %s", code)
			}
		}
		if _, err := c.Finish(t.Context(), Login{Client: "demo"}, nil); !errors.Is(err, ErrState) {
			t.Errorf("no login: %v", err)
		}
		s.decide(p, "")
		time.Sleep(6 * time.Second)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { raw(status, "application/json", body)(w, r, nil) }
}

// A login that began in another process is continued from its JSON.
func TestDevice_FinishInAnotherProcess(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		first, p := s.withDevice(t, nil)
		l, err := first.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first.stopWaiting() // cancel it
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var back Login
		if err := json.Unmarshal(b, &back); err != nil || back.DeviceCode != "CANARY-device" {
			t.Fatalf("%v, %s", err, b)
		}
		s.decide(p, "")
		if _, err := s.newCredentialClient(t, Device{}, nil).Finish(t.Context(), back, nil); err != nil {
			t.Error(err)
		}
		if strings.Contains(sprint(back), "CANARY") {
			t.Error("the device code is printed")
		}
		time.Sleep(time.Hour)
		if _, err := s.newCredentialClient(t, Device{}, nil).Finish(t.Context(), back, nil); !errors.Is(err, ErrState) {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestDevice_RunEnds_PollingEnds(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, _ := s.withDevice(t, nil)
		stop := running(t, c)
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		stop()
		if d := time.Since(begun); d != 0 {
			t.Errorf("the end took %v", d)
		}
		time.Sleep(time.Minute)
		if n := s.count(""); n != 0 {
			t.Errorf("%d polls afterwards", n)
		}
	})
}

func TestDevice_ForgetDuringLogin(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c, p := s.withDevice(t, nil)
		var revoked url.Values
		s.paths["/oauth/revoke"] = formTo(&revoked)
		s.decide(p, "")
		s.serving = make(chan struct{})
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second) // a poll is in flight
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(t.Context()); err != nil || s.called("/oauth/device/code") != 2 {
			t.Errorf("a canceled login is offered again: %v", err)
		}
		c.stopWaiting()
		close(s.serving)
		synctest.Wait()
		if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.State != GrantLoggedOut || revoked.Get("token") != "rt-1" {
			t.Errorf("stored: %v, %v; revoked %v", g, err, revoked)
		}
		if st := c.Status(); st.State != StateLoginRequired {
			t.Errorf("%+v", st)
		}
	})
}

// A person has logged in, so neither a held lease nor an unavailable store loses
// the grant.
func TestDevice_StoreUnavailable_GrantIsKept(t *testing.T) {
	for name, fail := range map[string]func(op string, g *Grant) error{
		"down":     func(string, *Grant) error { return errDisk },
		"busy":     func(op string, _ *Grant) error { return map[bool]error{true: ErrLocked}[op == "lock"] },
		"no write": onSave,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				store := &brokenStore{Store: NewMemoryStore()}
				old := s.loggedIn(t, func(c *Config) { c.Store = store }) // an older grant with more generations
				for range 3 {
					if _, err := old.Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Hour)
				c, p := s.withDevice(t, func(c *Config) { c.Store, c.Scopes = store, []string{"offline_access"} })
				defer running(t, c)()
				s.decide(p, "")
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				store.set(fail)
				if _, err := c.Finish(t.Context(), l, nil); err == nil {
					t.Fatal("nothing that is not durable is a success")
				}
				store.set(nil)
				time.Sleep(2 * time.Minute)
				g, err := store.Load(t.Context(), demoKey)
				if err != nil || g.Generation != 1 || !g.LoggedIn.After(old.grant().LoggedIn) || c.Status().State != StateReady {
					t.Errorf("%+v, %v, %+v", g, err, c.Status())
				}
			})
		})
	}
}

func TestDevice_OnChange(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var seen []string
		c, p := s.withDevice(t, func(c *Config) {
			c.OnChange = func(st Status) {
				text := string(st.State)
				if d := st.DeviceLogin; d != nil {
					text += " " + d.UserCode
					if d.Failure != nil {
						text += " " + d.Failure.Code
					}
				}
				seen = append(seen, text)
			}
		})
		for _, decision := range []string{"access_denied", ""} {
			s.decide(p, decision)
			l, err := c.Login(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Finish(t.Context(), l, nil)
			synctest.Wait()
		}
		if got := strings.Join(seen, ", "); got != "starting QTZL-MCBW, starting QTZL-MCBW access_denied, starting QTZL-MCBW, ready QTZL-MCBW, ready" {
			t.Error(got)
		}
	})
}

// turnStore records whether a flight was running when a grant was spilled.
type turnStore struct {
	*spillStore
	turn chan struct{}
	out  int // spills outside of any turn
}

func (s *turnStore) Spill(ctx context.Context, key string, g *Grant) error {
	if len(s.turn) == 0 {
		s.out++
	}
	return s.spillStore.Spill(ctx, key, g)
}

// A device login changes the client's state only in its own flight, even if the
// store fails, and if another request has run for longer than a flight waits.
func TestDevice_GrantIsStoredInItsOwnFlight(t *testing.T) {
	for name, busy := range map[string]time.Duration{"store down": 0, "turn taken": 2 * flightTimeout} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				store := &turnStore{spillStore: &spillStore{brokenStore: &brokenStore{Store: NewMemoryStore()}}}
				c, p := s.withDevice(t, func(c *Config) { c.Store, c.Scopes = store, []string{"offline_access"} })
				store.turn = c.turn
				s.decide(p, "")
				l, err := c.Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				store.set(func(string, *Grant) error { return errDisk })
				if busy > 0 {
					store.set(nil)
					c.turn <- struct{}{}
					time.AfterFunc(busy, func() {
						if c.mem.Load() != nil || c.hasUnsaved() {
							t.Error("the state was changed in another's turn")
						}
						<-c.turn
					})
				}
				if _, err := c.Finish(t.Context(), l, nil); err != nil || c.grant().RefreshToken == "" {
					t.Fatalf("%v, %+v", err, c.grant())
				}
				if spilled := store.spilled != nil; spilled != (busy == 0) || store.out != 0 {
					t.Errorf("spilled: %v, %d times outside of its turn", spilled, store.out)
				}
			})
		})
	}
}
