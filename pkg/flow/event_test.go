package flow

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// eventLog keeps the events of clients.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

func (r *eventLog) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns the kinds of the events since the last call.
func (r *eventLog) take() (kinds []EventKind) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		kinds = append(kinds, e.Kind)
	}
	r.events = nil
	return kinds
}

func (r *eventLog) want(t *testing.T, when string, kinds ...EventKind) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, kinds) {
		t.Errorf("%s: events %v, want %v", when, got, kinds)
	}
}

// Two processes keep one grant. Every change has one event, of the one that stored it.
func TestEvents_OnceAcrossProcesses(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var r eventLog
		store := NewMemoryStore()
		var a, b *Client
		for _, c := range []**Client{&a, &b} {
			cfg := s.config()
			cfg.Source, cfg.Store, cfg.OnEvent = nil, store, r.add
			*c = mustNew(t, cfg)
		}
		s.loggedIn(t, func(c *Config) { c.Store, c.OnEvent = store, r.add })
		r.want(t, "login", EventRefreshed)
		defer running(t, a)()
		defer running(t, b)()
		time.Sleep(44 * time.Minute)
		r.want(t, "nothing happens")
		time.Sleep(10 * time.Minute)
		r.want(t, "a refresh", EventRefreshed)

		time.Sleep(time.Hour - 10*time.Minute)
		r.take()
		s.keep(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			refuse(503, "temporarily_unavailable")(w, r, nil)
		})
		time.Sleep(40 * time.Minute)
		r.want(t, "the provider fails", EventDegraded)
		time.Sleep(30 * time.Minute)
		r.want(t, "the token expires", EventRefreshFailing)
		time.Sleep(3 * time.Hour)
		r.want(t, "it still fails")
		s.keep(nil)
		time.Sleep(3 * time.Minute)
		r.want(t, "it works again", EventRefreshed, EventResumed)

		s.script(refuse(403, "invalid_grant"))
		_, _ = a.Refresh(t.Context())
		r.want(t, "the grant is dead", EventLoginRequired)
		time.Sleep(3 * time.Hour)
		r.want(t, "a person waits")
		s.loggedIn(t, func(c *Config) { c.Store, c.OnEvent = store, r.add })
		r.want(t, "a login", EventRefreshed, EventResumed)
		if err := b.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.want(t, "a logout", EventLoginRequired)
	})
}

func TestEvents_GrantEnding_OncePerGrant(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.lifetime = 24 * time.Hour
		var r eventLog
		c := mustNew(t, func() Config {
			c := s.config()
			c.Absolute, c.EndingAhead, c.OnEvent = 30*24*time.Hour, 5*24*time.Hour, r.add
			return c
		}())
		defer running(t, c)()
		count := func() (n int) {
			for _, k := range r.take() {
				if k == EventGrantEnding {
					n++
				}
			}
			return n
		}
		time.Sleep(24*24*time.Hour + time.Hour)
		if n := count(); n != 0 {
			t.Errorf("%d events six days before the end", n)
		}
		time.Sleep(2 * 24 * time.Hour)
		if n := count(); n != 1 {
			t.Errorf("%d events four days before the end", n)
		}
		time.Sleep(2 * 24 * time.Hour)
		if n := count(); n != 0 {
			t.Errorf("%d events two days before the end", n)
		}
	})
}

// The idle end of a short idle lifetime is always near, and refreshes move it.
func TestEvents_ShortIdleLifetime_EndsOnlyWithoutRefreshes(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var r eventLog
		c := mustNew(t, func() Config { c := s.config(); c.Idle, c.OnEvent = 24*time.Hour, r.add; return c }())
		defer running(t, c)()
		time.Sleep(48 * time.Hour)
		if kinds := r.take(); slices.Contains(kinds, EventGrantEnding) {
			t.Errorf("%v", kinds)
		}
		s.keep(refuse(503, "temporarily_unavailable"))
		time.Sleep(23 * time.Hour)
		if kinds := r.take(); !slices.Contains(kinds, EventGrantEnding) {
			t.Errorf("%v", kinds)
		}
	})
}

// An event comes after its change is stored: one that could not be stored has none.
func TestEvents_OnlyWhatIsStored(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var r eventLog
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store, c.OnEvent = store, r.add })
		r.take()
		store.set(func(op string, _ *Grant) error {
			if op == "save" {
				return errDisk
			}
			return nil
		})
		_, _ = c.Refresh(context.Background())
		r.want(t, "the store is down")
		store.set(nil)
		time.Sleep(time.Minute)
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.want(t, "the store is back", EventRefreshed)
	})
}

// A refresh has its event when its token is served: a caller that asks for one after it gets
// the new one, and the expiry is that of the new one.
func TestEvents_RefreshedIsTheTokenThatIsServed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var r eventLog
		c := s.loggedIn(t, func(c *Config) { c.OnEvent = r.add })
		r.take()
		time.Sleep(10 * time.Minute)
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		token, err := c.Get(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.events) != 1 || r.events[0].Kind != EventRefreshed || !r.events[0].Expiry.Equal(token.Expiry) || r.events[0].Generation != token.Generation {
			t.Errorf("%+v, want one with expiry %s", r.events, token.Expiry)
		}
		r.take()
		s.claims = func(m map[string]any) { m["aud"] = "another" }
		if _, err := c.Refresh(t.Context()); err == nil {
			t.Error("an ID token for another client was accepted")
		}
		r.want(t, "a rejected ID token", EventDegraded)
		if before, err := c.Get(t.Context(), Request{}); err != nil || before.AccessToken != token.AccessToken {
			t.Errorf("%v, %v", before, err)
		}
		s.claims = nil
		time.Sleep(10 * time.Minute)
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.want(t, "the next one", EventRefreshed, EventResumed)
	})
}

// The provider cannot be discovered: nothing was sent, and it is an event nevertheless.
func TestEvents_NoDiscovery(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var r eventLog
		store := NewMemoryStore()
		s.loggedIn(t, func(c *Config) { c.Store = store })
		cfg := s.config()
		cfg.Store, cfg.OnEvent = store, r.add
		cfg.HTTPClient = &http.Client{Transport: down{}}
		c := mustNew(t, cfg)
		defer running(t, c)()
		time.Sleep(55 * time.Minute)
		if kinds := r.take(); !slices.Contains(kinds, EventDegraded) {
			t.Errorf("events %v", kinds)
		}
		time.Sleep(20 * time.Minute)
		r.want(t, "the token expires", EventRefreshFailing)
	})
}

// down is a network without a provider.
type down struct{}

func (down) RoundTrip(*http.Request) (*http.Response, error) { return nil, errDisk }
