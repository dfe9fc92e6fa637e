package flow

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

func TestCredentialGrant_LoggedOut_SendsNothing(t *testing.T) {
	for name, source := range credentialSources(t) {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.newCredentialClient(t, source, nil)
			defer running(t, c)()
			if err := c.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			_, err := c.Get(t.Context(), Request{})
			if wantError(t, err, ClassLoginRequired, ""); s.count("") != 1 {
				t.Errorf("%s: %d requests", name, s.count(""))
			}
			if _, err := c.LoginHeadless(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// While a rejected request waits, Run does not poll the store.
func TestRun_RejectedRequest_DoesNotPollTheStore(t *testing.T) {
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
		c := s.newCredentialClient(t, credentialSources(t)["token_exchange"], func(c *Config) { c.Store = store })
		defer running(t, c)()
		time.Sleep(time.Hour)
		if n := loads.Load(); n > 100 {
			t.Errorf("%d polls of the store in an hour", n)
		}
	})
}

// A manual login is tried at once, even after a failed one.
func TestLoginHeadless_AfterFailure_IsTriedAtOnce(t *testing.T) {
	for name, source := range map[string]Source{"credentials": ClientCredentials{}, "password": credentialSources(t)["password"]} {
		bubble(t, func(t *testing.T, s *tenant) {
			s.keep(refuse(400, "invalid_scope"))
			c := s.newCredentialClient(t, source, nil)
			for range 3 {
				_, err := c.LoginHeadless(t.Context())
				wantError(t, err, ClassRequest, "invalid_scope")
			}
			if n := s.count(""); n != 3 {
				t.Errorf("%s: %d requests", name, n)
			}
		})
	}
}
