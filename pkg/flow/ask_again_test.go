package flow

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

func TestForgottenAskerDoesNotAsk(t *testing.T) {
	for name, source := range asking(t) {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.asks(t, source, nil)
			defer running(t, c)()
			if err := c.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			_, err := c.Get(t.Context(), Request{})
			if wantError(t, err, ClassLoginRequired, ""); s.count("") != 1 {
				t.Errorf("%s: %d requests", name, s.count(""))
			}
			if _, err := c.SignIn(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Nor does it for a grant that another process has left dead.
func TestForgottenAskerLeavesADeadGrant(t *testing.T) {
	for name, source := range asking(t) {
		bubble(t, func(t *testing.T, s *tenant) {
			store := NewMemoryStore()
			with := func(c *Config) { c.Store, c.Scopes = store, []string{"offline_access"} }
			forgotten := s.asks(t, source, with)
			if err := forgotten.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			dead := &Grant{Issuer: s.issuer, ClientID: "client", Generation: 3, State: GrantDead, RefreshToken: "rt-old"}
			l, err := store.Lock(t.Context(), "demo", time.Minute)
			if err != nil || store.Save(t.Context(), l, dead) != nil || l.Release(t.Context()) != nil {
				t.Fatal("the dead grant could not be stored")
			}
			stop := running(t, forgotten)
			time.Sleep(time.Hour)
			_, err = forgotten.Get(t.Context(), Request{})
			if wantError(t, err, ClassLoginRequired, "refused the refresh token"); s.count("") != 0 {
				t.Errorf("%s: %d requests", name, s.count(""))
			}
			stop()
			other := s.asks(t, source, with) // one that was not told to forget asks
			if _, err := other.Get(t.Context(), Request{}); err != nil || s.count("refresh_token") != 0 || s.count("") != 1 {
				t.Errorf("%s: %v, %d requests", name, err, s.count(""))
			}
		})
	}
}

// While a refused request waits, Run does not look at the store all the time.
func TestRunWaitsWithARefusedRequest(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var loads atomic.Int32
		store := &brokenStore{Store: NewMemoryStore()}
		store.set(func(op string, _ *Grant) error {
			if op == "load" {
				loads.Add(1)
			}
			return nil
		})
		s.refuse(func(url.Values) string { return "invalid_request" })
		c := s.asks(t, asking(t)["token_exchange"], func(c *Config) { c.Store = store })
		defer running(t, c)()
		time.Sleep(time.Hour)
		if n := loads.Load(); n > 100 {
			t.Errorf("%d looks at the store in an hour", n)
		}
	})
}

// A login by hand is tried at once, whatever became of the one before.
func TestLoginByHandIsNotHeldBack(t *testing.T) {
	for name, source := range map[string]Source{"credentials": ClientCredentials{}, "password": asking(t)["password"]} {
		bubble(t, func(t *testing.T, s *tenant) {
			s.keep(refuse(400, "invalid_scope"))
			c := s.asks(t, source, nil)
			for range 3 {
				_, err := c.SignIn(t.Context())
				wantError(t, err, ClassRequest, "invalid_scope")
			}
			if n := s.count(""); n != 3 {
				t.Errorf("%s: %d requests", name, n)
			}
		})
	}
}
