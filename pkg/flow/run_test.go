package flow

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// running starts Run; stop ends it and waits.
func running(t *testing.T, c *Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestRun_LogsInAndRefreshesBeforeExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var mu sync.Mutex
		var states []ClientState
		c := mustNew(t, func() Config {
			c := s.config()
			c.OnChange = func(st Status) { mu.Lock(); defer mu.Unlock(); states = append(states, st.State) }
			return c
		}())
		if st := c.Status(); st.State != StateStarting {
			t.Errorf("before: %s", st.State)
		}
		defer running(t, c)()
		if st := c.Status(); st.State != StateReady || st.Generation != 1 || st.Subject != "user|1" || st.Expiry != time.Now().Add(time.Hour).Round(0) {
			t.Errorf("logged in: %+v", st)
		}
		for range 3 * 60 { // a caller never waits: the token is always valid for minutes
			time.Sleep(time.Minute)
			tok := c.Cached(Request{MinValidity: 12 * time.Minute})
			if tok == nil {
				t.Fatalf("nothing in memory: %+v", c.Status())
			}
		}
		if n := s.count("refresh_token"); n < 3 || n > 5 {
			t.Errorf("%d refreshes in three hours", n)
		}
		for i, at := range s.sentAt[1:] {
			if d := at.Sub(s.sentAt[i]); d < 43*time.Minute || d > 47*time.Minute {
				t.Errorf("refresh %d came after %v", i, d)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(states) < 4 || states[len(states)-1] != StateReady {
			t.Errorf("announced %v", states)
		}
	})
}

func TestRun_FailuresInAdvisoryWindow(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.rotating = false
		c := mustNew(t, func() Config { c := s.config(); c.Rotation = RotationOff; return c }())
		defer running(t, c)()
		s.keep(raw(200, "text/html", "maintenance"))
		time.Sleep(56 * time.Minute)
		if n := s.count("refresh_token"); n < 9 || n > 13 { // once a minute
			t.Errorf("%d attempts", n)
		}
		if st := c.Status(); st.State != StateDegraded || c.Cached(Request{}) == nil {
			t.Errorf("%+v", st)
		}
		time.Sleep(5 * time.Minute)
		if st := c.Status(); st.State != StateUnavailable {
			t.Errorf("%+v", st)
		}
		s.keep(nil)
		time.Sleep(time.Minute)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

func TestRun_ReplaysInOverlap(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.overlap = 30 * time.Second
		c := mustNew(t, func() Config { c := s.config(); c.Leeway = s.overlap; return c }())
		defer running(t, c)()
		s.script(hangAfter) // 15 s pass: too late for an immediate replay, in time for one in the overlap
		time.Sleep(50 * time.Minute)
		if g := c.grant(); s.count("refresh_token") != 2 || g.State != GrantActive || g.Generation != 2 || s.revoked != 0 {
			t.Errorf("%d requests, %+v", s.count("refresh_token"), g)
		}
	})
}

func TestRun_KeepsIdleGrantAlive(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.lifetime = 30 * 24 * time.Hour
		c := mustNew(t, func() Config { c := s.config(); c.Idle, c.Absolute = 10*24*time.Hour, 90*24*time.Hour; return c }())
		defer running(t, c)()
		start := time.Now()
		time.Sleep(20*24*time.Hour + time.Hour)
		if n := s.count("refresh_token"); n != 4 {
			t.Errorf("%d exchanges in four half idle lifetimes", n)
		}
		if st := c.Status(); !st.GrantEnds.Equal(st.LastExchange.Add(10 * 24 * time.Hour)) {
			t.Errorf("forecast %v", st.GrantEnds)
		}
		time.Sleep(65 * 24 * time.Hour)
		if st := c.Status(); !st.GrantEnds.Equal(start.Add(90 * 24 * time.Hour)) {
			t.Errorf("forecast %v, want the absolute end", st.GrantEnds)
		}
	})
}

func TestRun_NoticesLoginOfAnotherProcess(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		cfg := s.config()
		cfg.Source, cfg.Store = nil, store
		c := mustNew(t, cfg)
		defer running(t, c)()
		time.Sleep(time.Hour)
		if st := c.Status(); st.State != StateLoginRequired || s.count("") != 0 || !st.NextRefresh.IsZero() {
			t.Errorf("%+v", st)
		}
		s.loggedIn(t, func(c *Config) { c.Store = store })
		time.Sleep(time.Minute)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

func TestRun_DeadHeadlessGrant_LogsInAfterAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, s.config())
		defer running(t, c)()
		s.script(refuse(403, "invalid_grant"))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassLoginRequired, "")
		time.Sleep(59 * time.Second)
		if st := c.Status(); st.State != StateLoginRequired || s.count("authorization_code") != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := c.Status(); st.State != StateReady || s.count("authorization_code") != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRun_RejectedClient_IsProbed tests row F33 of docs/guarantees.md.
func TestRun_RejectedClient_IsProbed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.keep(refuse(401, "access_denied"))
		c := mustNew(t, s.config())
		defer running(t, c)()
		time.Sleep(24 * time.Hour)
		if st := c.Status(); st.State != StateClientRejected || s.count("") < 90 || s.count("") > 100 {
			t.Errorf("%+v, %d requests: one in 15 minutes at the end", st, s.count(""))
		}
		s.keep(nil)
		time.Sleep(time.Minute)
		c.Retry()
		time.Sleep(time.Second)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v: a reload probes at once", st)
		}
	})
}

func TestRun_LoginPage_BacksOff(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.authorize = raw(200, "text/html", "<title>Log in</title>")
		c := mustNew(t, s.config())
		defer running(t, c)()
		for range 60 {
			time.Sleep(time.Minute)
			_, err := c.Get(t.Context(), Request{})
			wantError(t, err, ClassLoginRequired, "Log in")
		}
		if n := s.called("/authorize"); n < 50 || n > 150 {
			t.Errorf("%d attempts in an hour", n)
		}
		if st := c.Status(); st.State != StateLoginRequired {
			t.Errorf("%+v", st)
		}
	})
}

// Run's end waits for the refresh in flight, which is stored.
//
// Row F26 of docs/guarantees.md.
func TestRun_Ends_AfterRefreshInFlight(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := mustNew(t, func() Config { c := s.config(); c.Store = store; return c }())
		stop := running(t, c)
		s.keep(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			time.Sleep(5 * time.Second)
			next(w, r)
		})
		go func() { _, _ = c.Refresh(context.Background()) }()
		synctest.Wait()
		if g, err := store.Load(t.Context(), demoKey); err != nil || g.Intent == nil {
			t.Fatalf("no refresh is in flight: %v, %v", g, err)
		}
		begun := time.Now()
		stop()
		if d := time.Since(begun); d > 15*time.Second {
			t.Errorf("the end took %v", d)
		}
		g, err := store.Load(t.Context(), demoKey)
		if err != nil || g.Intent != nil || g.State != GrantActive || g.Generation != 2 {
			t.Errorf("stored %+v, %v after %d refreshes", g, err, s.count("refresh_token"))
		}
	})
}

func TestRun_Ends_WhileWaitingForLease(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		if _, err := store.Lock(t.Context(), demoKey, time.Hour); err != nil {
			t.Fatal(err)
		}
		stop := running(t, c)
		go func() { _, _ = c.Refresh(context.Background()) }()
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		if d := time.Since(begun); d > time.Second {
			t.Errorf("the end took %v", d)
		}
	})
}

func TestRun_StoreDownAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		store.set(func(string, *Grant) error { return errDisk })
		c := mustNew(t, func() Config { c := s.config(); c.Store = store; return c }())
		defer running(t, c)()
		time.Sleep(10 * time.Minute)
		if st := c.Status(); st.State != StateUnavailable || st.Failure.Class != ClassStoreUnavailable || s.count("") != 0 {
			t.Errorf("%+v", st)
		}
		store.set(nil)
		time.Sleep(2 * time.Minute)
		if st := c.Status(); st.State != StateReady {
			t.Errorf("%+v", st)
		}
	})
}

func TestMemoryStore(t *testing.T) {
	bubble(t, func(t *testing.T, _ *tenant) {
		ctx, s := t.Context(), NewMemoryStore()
		l, err := s.Lock(ctx, "k", time.Minute)
		if err != nil || l.Key() != "k" {
			t.Fatal(err)
		}
		g := &Grant{ClientID: "c", Scopes: []string{"a"}}
		if err := s.Save(ctx, l, g); err != nil || g.Revision != 1 {
			t.Fatalf("%v, revision %d", err, g.Revision)
		}
		g.Scopes[0] = "changed"
		if got, _ := s.Load(ctx, "k"); got.Scopes[0] != "a" {
			t.Error("the stored grant is shared with the caller")
		}
		if err := s.Save(ctx, l, &Grant{}); !errors.Is(err, ErrConflict) {
			t.Errorf("an old revision: %v", err)
		}
		if _, err := s.Lock(ctx, "k", time.Minute); !errors.Is(err, ErrLocked) {
			t.Errorf("two holders: %v", err)
		}
		time.Sleep(time.Minute)
		if err := s.Save(ctx, l, g); err != nil {
			t.Errorf("a late answer, and the lease was not taken: %v", err)
		}
		second, err := s.Lock(ctx, "k", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Save(ctx, l, g); !errors.Is(err, ErrConflict) {
			t.Errorf("without the lease: %v", err)
		}
		if err := l.Renew(ctx); !errors.Is(err, ErrConflict) {
			t.Errorf("renewed what is lost: %v", err)
		}
		_ = l.Release(ctx)
		if _, err := s.Lock(ctx, "k", time.Minute); !errors.Is(err, ErrLocked) {
			t.Errorf("another's lease was released: %v", err)
		}
		if err := s.Save(ctx, second, g); err != nil || s.Delete(ctx, "k") != nil || s.Delete(ctx, "k") != nil {
			t.Error(err)
		}
		if _, err := s.Load(ctx, "k"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}
