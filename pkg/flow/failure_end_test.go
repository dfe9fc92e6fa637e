package flow

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A store that did not answer delays Run only. A caller's next request asks it again,
// and is not answered with the former error.
func TestStoreError_IsNotRepeatedToCallers(t *testing.T) {
	for _, failing := range []string{"load", "lock", "save"} {
		for _, cause := range []error{errDisk, ErrCorrupt} {
			t.Run(failing+" "+cause.Error(), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *tenant) {
					store := &brokenStore{Store: NewMemoryStore()}
					c := s.loggedIn(t, func(c *Config) { c.Store = store })
					store.set(func(op string, _ *Grant) error {
						if op == failing {
							return cause
						}
						return nil
					})
					for range 3 {
						if _, err := c.Refresh(t.Context()); err == nil {
							t.Fatal("refreshed without a store")
						}
					}
					store.set(nil)
					if _, err := c.Refresh(t.Context()); err != nil {
						t.Errorf("the store answers again, but: %v", err)
					}
					if s.count("refresh_token") != 1 || c.Status().State != StateReady {
						t.Errorf("%d requests, %+v", s.count("refresh_token"), c.Status())
					}
				})
			})
		}
	}
}

// Run asks a store that does not answer again after a pause.
func TestStoreError_DelaysRun(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		var tries atomic.Int32
		store.set(func(op string, _ *Grant) error {
			if op == "lock" {
				tries.Add(1)
				return errDisk
			}
			return nil
		})
		defer running(t, c)()
		time.Sleep(2 * time.Hour) // the token has expired
		tries.Store(0)
		time.Sleep(time.Hour)
		if n := int(tries.Load()); n < 60 || n > 3600/int(storeRetry.Seconds())+1 { // perhaps one at each end of the hour
			t.Errorf("%d tries in an hour", n)
		}
	})
}

// What kept one process from refreshing is over when another one has refreshed: its
// state is ready again, and its next request is sent. A file that cannot be read on
// this machine stays the failure of this process.
func TestFailure_EndsWhenAnotherProcessRefreshes(t *testing.T) {
	unavailable := func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	unreadable := errors.New("permission denied")
	for name, tt := range map[string]struct {
		fail func(s *tenant, c *failingMachine)
		want ClientState
	}{
		"store":           {func(_ *tenant, m *failingMachine) { m.store.set(onSave) }, StateReady},
		"provider":        {func(_ *tenant, m *failingMachine) { m.offline = errors.New("no route to host") }, StateReady},
		"outcome unknown": {func(s *tenant, _ *failingMachine) { s.script(unavailable, unavailable) }, StateReady},
		"unreadable file": {func(_ *tenant, m *failingMachine) { m.secretErr = unreadable }, StateDegraded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				shared := NewMemoryStore()
				m := &failingMachine{store: &brokenStore{Store: shared}}
				c := s.loggedIn(t, m.config)
				tt.fail(s, m)
				if _, err := c.Refresh(t.Context()); err == nil || c.Status().State != StateDegraded {
					t.Fatalf("before: %v, %+v", err, c.Status())
				}
				m.store.set(nil)
				m.offline = nil
				time.Sleep(6 * time.Minute) // the second half of the overlap
				cfg := s.config()
				cfg.Store, cfg.Leeway = shared, 10*time.Minute
				if _, err := mustNew(t, cfg).Refresh(t.Context()); err != nil {
					t.Fatalf("the other process: %v", err)
				}
				c.Reload()
				c.Next(t.Context())
				if st := c.Status(); st.State != tt.want || (st.Failure == nil) != (tt.want == StateReady) {
					t.Errorf("then %+v", st)
				}
				if _, err := c.Refresh(t.Context()); (err == nil) != (tt.want == StateReady) {
					t.Errorf("its next request: %v", err)
				}
			})
		})
	}
}

// Two processes whose refreshes the provider answers with an ID token that is rejected
// each keep their own pause: what the other one has stored is a failure, too, and ends none.
func TestFailure_OfTwoProcesses_KeepsTheirPauses(t *testing.T) {
	for name, answer := range map[string]func(map[string]any){
		"ID token is rejected": func(b map[string]any) { b["id_token"] = "not.a.jwt" },
		"answer is unusable":   func(b map[string]any) { delete(b, "access_token") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				shared := NewMemoryStore()
				a := s.loggedIn(t, func(c *Config) { c.Store = shared })
				cfg := s.config()
				cfg.Store = shared
				b := mustNew(t, cfg)
				if _, err := b.Get(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(48 * time.Hour) // the token has expired
				s.answer = answer
				was := s.count("refresh_token")
				for range 20 {
					for _, c := range []*Client{a, b} {
						if _, err := c.Get(t.Context(), Request{}); err == nil {
							t.Fatal("a token of an answer that is rejected")
						}
						if st := c.Status(); st.Failure == nil {
							t.Errorf("the failure is hidden: %+v", st)
						}
					}
				}
				if n := s.count("refresh_token") - was; n > 2 {
					t.Errorf("%d requests in the same moment, want one of each process", n)
				}
			})
		})
	}
}

// What another process has stored ends a failure only when it is verified: it may be
// rejected a moment later.
func TestFailure_EndsNotBeforeVerification(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		shared := NewMemoryStore()
		m := &failingMachine{store: &brokenStore{Store: shared}}
		a := s.loggedIn(t, m.config)
		m.store.set(onSave)
		if _, err := a.Refresh(t.Context()); err == nil {
			t.Fatal("refreshed without a store")
		}
		m.store.set(nil)
		store := &brokenStore{Store: shared}
		cfg := s.config()
		cfg.Store, cfg.Leeway = store, 10*time.Minute
		b := mustNew(t, cfg)
		if _, err := b.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		looked := false
		store.set(func(op string, g *Grant) error {
			if op != "save" || g.Failure == nil {
				return nil
			}
			looked = true // the answer is stored, and found to be bad
			a.Reload()
			a.Next(t.Context())
			if a.Status().Failure == nil {
				t.Error("an answer that is not verified has ended the failure")
			}
			return nil
		})
		s.answer = func(b map[string]any) { b["id_token"] = "not.a.jwt" }
		if _, err := b.Refresh(t.Context()); err == nil || !looked {
			t.Errorf("%v; looked %v", err, looked)
		}
	})
}

// failingMachine has what can fail on the machine of one process.
type failingMachine struct {
	store     *brokenStore
	offline   error // of connections to the provider
	secretErr error
}

func (m *failingMachine) config(c *Config) {
	c.Store, c.Leeway = m.store, 10*time.Minute
	secret := c.ClientSecret
	c.ClientSecret = ""
	c.ClientSecretFrom = func(context.Context) (Secret, error) { return secret, m.secretErr }
	c.HTTPClient = &http.Client{Transport: &offlineTransport{m, c.HTTPClient.Transport}}
}

type offlineTransport struct {
	machine *failingMachine
	next    http.RoundTripper
}

func (o *offlineTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.machine.offline != nil {
		return nil, o.machine.offline
	}
	return o.next.RoundTrip(r)
}
