package flow

import (
	"context"
	"errors"
	"math/rand/v2"
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

// stepping keeps c as a keeper of many clients does, and returns when it is done.
func stepping(ctx context.Context, c *Client) {
	wake := make(chan struct{}, 1)
	c.OnWake(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer func() { c.OnWake(nil); _ = c.Close() }()
	for ctx.Err() == nil {
		at := c.Next(ctx)
		if !at.IsZero() && !at.After(time.Now()) {
			at = c.Step(ctx)
		}
		wait := 365 * 24 * time.Hour
		if !at.IsZero() {
			wait = time.Until(at)
		}
		sleep(ctx, wait, wake)
	}
}

func TestStep_KeepsGrantLikeRun(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := mustNew(t, s.config())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); stepping(ctx, c) }()
		for range 3 * 60 {
			time.Sleep(time.Minute)
			if tok := c.Cached(Request{MinValidity: 12 * time.Minute}); tok == nil {
				t.Fatalf("nothing in memory: %+v", c.Status())
			}
		}
		n := s.count("refresh_token")
		if n < 3 || n > 5 {
			t.Errorf("%d refreshes in three hours", n)
		}
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := c.Status().NextRefresh
		if want := time.Now().Add(45 * time.Minute); before.Before(want.Add(-time.Minute)) || before.After(want.Add(time.Minute)) {
			t.Errorf("next refresh at %v, want about %v: a caller's refresh plans again", before, want)
		}
		stop()
		<-done
	})
}

// countingStore counts operations.
type countingStore struct {
	Store
	loads, saves, locks, releases int
}

func (s *countingStore) Save(ctx context.Context, l Lease, g *Grant) error {
	s.saves++
	return s.Store.Save(ctx, l.(*countingLease).Lease, g)
}

func (s *countingStore) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	s.locks++
	l, err := s.Store.Lock(ctx, key, ttl)
	return &countingLease{l, s}, err
}

type countingLease struct {
	Lease
	store *countingStore
}

func (l *countingLease) Release(ctx context.Context) error {
	l.store.releases++
	return l.Lease.Release(ctx)
}

// docs/scale.md calculates with these numbers: the intent, the answer, and the answer
// with its ID token verified. Events cost nothing more.
func TestRefresh_Costs(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &countingStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store, c.OnEvent = store, func(Event) {} })
		c.Next(t.Context())
		store.loads, store.saves, store.locks, store.releases = 0, 0, 0, 0
		time.Sleep(46 * time.Minute)
		c.Step(t.Context())
		synctest.Wait()
		if s.count("refresh_token") != 1 || store.locks != 1 || store.saves != 3 || store.releases != 1 || store.loads != 2 {
			t.Errorf("%d POSTs, %d leases, %d saves, %d releases, %d loads", s.count("refresh_token"), store.locks, store.saves, store.releases, store.loads)
		}
	})
}

func (s *countingStore) Load(ctx context.Context, key string) (*Grant, error) {
	s.loads++
	return s.Store.Load(ctx, key)
}

func TestNext_ReadsStoreOnceAndAfterReload(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &countingStore{Store: NewMemoryStore()}
		cfg := s.config()
		cfg.Source, cfg.Store = nil, store
		c := mustNew(t, cfg)
		for range 3 {
			if at := c.Next(t.Context()); !at.IsZero() {
				t.Errorf("next request at %v, and a person must log in", at)
			}
		}
		if store.loads != 1 || s.count("") != 0 {
			t.Errorf("%d loads, %d requests", store.loads, s.count(""))
		}
		s.loggedIn(t, func(c *Config) { c.Store = store.Store })
		c.Reload()
		if at := c.Next(t.Context()); store.loads != 2 || time.Until(at) < 40*time.Minute || c.Status().State != StateReady {
			t.Errorf("%d loads, next request at %v, %+v", store.loads, at, c.Status())
		}
		if at := c.Step(t.Context()); store.loads != 2 || s.count("refresh_token") != 0 || time.Until(at) < 40*time.Minute {
			t.Errorf("%d loads, %d requests: nothing is due", store.loads, s.count("refresh_token"))
		}
	})
}

// A reload that cannot read the store is repeated.
func TestNext_ReloadFails_IsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		memory := NewMemoryStore()
		store := &brokenStore{Store: memory}
		c := s.loggedIn(t, func(c *Config) { c.Store = memory })
		cfg := s.config()
		cfg.Store = store
		other := mustNew(t, cfg)
		other.Next(t.Context())
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.set(func(string, *Grant) error { return errors.New("the database restarts") })
		other.Reload()
		other.Next(t.Context())
		store.set(nil)
		other.Next(t.Context())
		if st := other.Status(); st.Generation != 2 {
			t.Errorf("generation %d in memory, and 2 in the store", st.Generation)
		}
	})
}

// Clients that were imported together spread their refreshes over two thirds of the
// advisory window, and keep some of it for retries.
func TestRefreshAt_ClientsSpreadOverAdvisoryWindow(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		random := rand.NewChaCha8([32]byte{})
		var minutes [10]int
		for range 1000 {
			c := s.loggedIn(t, func(c *Config) { c.Rand = random })
			before := time.Until(c.Next(t.Context()).Round(0)) - 45*time.Minute
			if before < 0 || before >= 10*time.Minute {
				t.Fatalf("%v after the start of the window", before)
			}
			minutes[before/time.Minute]++
		}
		for i, n := range minutes {
			if n < 60 || n > 140 {
				t.Errorf("minute %d: %d refreshes of 1000, want about 100", i, n)
			}
		}
	})
}

// While the provider limits the rate of all clients, none of them tries.
func TestNext_WaitsForRateLimitOfProvider(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		c.provider.setRateLimit(10 * time.Minute)
		until := time.Now().Add(10 * time.Minute)
		c.mem.Store(nil)
		if err := c.cfg.Store.Delete(t.Context(), demoKey); err != nil {
			t.Fatal(err)
		}
		c.Next(t.Context())
		if at := c.Next(t.Context()); !at.Equal(until) {
			t.Errorf("next request at %v, want %v", at, until)
		}
		n := s.count("")
		if at := c.Step(t.Context()); !at.Equal(until) || s.count("") != n || c.Status().Failure != nil {
			t.Errorf("%v, %d requests, %+v", at, s.count("")-n, c.Status().Failure)
		}
	})
}
