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

// brokenStore fails on demand, like a full disk or a dead process.
type brokenStore struct {
	Store
	mu   sync.Mutex
	fail func(op string, g *Grant) error // before the operation
	lose func(op string, g *Grant) error // after it
}

func (b *brokenStore) do(op string, g *Grant, f func() error) error {
	b.mu.Lock()
	fail, lose := b.fail, b.lose
	b.mu.Unlock()
	if fail != nil {
		if err := fail(op, g); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if lose != nil {
		return lose(op, g)
	}
	return nil
}

func (b *brokenStore) Load(ctx context.Context, key string) (g *Grant, err error) {
	err = b.do("load", nil, func() error { g, err = b.Store.Load(ctx, key); return err })
	return g, err
}

func (b *brokenStore) Save(ctx context.Context, l Lease, g *Grant) error {
	n := g.clone()
	err := b.do("save", g, func() error { return b.Store.Save(ctx, l, n) })
	if err == nil {
		g.Revision = n.Revision
	}
	return err
}

func (b *brokenStore) Lock(ctx context.Context, key string, ttl time.Duration) (l Lease, err error) {
	err = b.do("lock", nil, func() error { l, err = b.Store.Lock(ctx, key, ttl); return err })
	return l, err
}

func (b *brokenStore) set(fail func(op string, g *Grant) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

var errDisk = errors.New("no space left on device")

func onSave(op string, _ *Grant) error {
	if op == "save" {
		return errDisk
	}
	return nil
}

// An unknown outcome, with the provider's overlap and without, the answer lost
// before and after the tenant has rotated.
func TestUncertain_Recovery(t *testing.T) {
	for name, tc := range map[string]struct {
		overlap time.Duration
		lost    handler
		posts   int  // until there is a token again
		wait    bool // until the access token is about to expire
		dead    bool
	}{
		"overlap, lost after":     {30 * time.Second, dropAfter, 2, false, false},
		"overlap, lost before":    {30 * time.Second, drop, 2, false, false},
		"overlap, server error":   {30 * time.Second, refuse(502, ""), 2, false, false},
		"overlap, no token in it": {30 * time.Second, raw(200, "application/json", `{"token_type":"Bearer"}`), 2, false, false},
		"no overlap, lost before": {0, drop, 2, true, false},
		"no overlap, lost after":  {0, dropAfter, 2, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				s.overlap = tc.overlap
				c := s.loggedIn(t, func(c *Config) { c.Leeway = tc.overlap })
				time.Sleep(time.Minute)
				s.script(tc.lost)
				_, err := c.Refresh(t.Context())
				if tc.wait {
					wantError(t, err, ClassUnreachable, "")
					if g := c.grant(); g.State != GrantUncertain || g.Intent.Replays != 0 || g.Generation != 1 {
						t.Fatalf("grant %+v", g)
					}
					for range 50 { // nothing is sent while the access token is valid
						time.Sleep(time.Minute)
						if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-2" {
							t.Fatalf("%v, %v", tok, err)
						}
						if _, err := c.Refresh(t.Context()); err == nil {
							t.Fatal("refreshed")
						}
					}
					if n := s.count("refresh_token"); n != 1 {
						t.Fatalf("%d requests", n)
					}
					time.Sleep(20 * time.Minute)
					_, err = c.Get(t.Context(), Request{})
				}
				if n := s.count("refresh_token"); n != tc.posts {
					t.Errorf("%d requests, want %d", n, tc.posts)
				}
				if tc.dead {
					wantError(t, err, ClassLoginRequired, "invalid_grant")
					return
				}
				if err != nil || c.grant().State != GrantActive || c.grant().Intent != nil || s.revoked != 0 {
					t.Errorf("%v, %+v, %d revoked", err, c.grant(), s.revoked)
				}
			})
		})
	}
}

func TestUncertain_AtMostTwoReplaysInOverlap(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.overlap = 30 * time.Second
		c := s.loggedIn(t, func(c *Config) { c.Leeway = 30 * time.Second })
		s.keep(dropAfter)
		for range 100 {
			_, _ = c.Refresh(t.Context())
			time.Sleep(time.Second)
		}
		if n := s.count("refresh_token"); n != 3 {
			t.Errorf("%d requests, want the first and two replays", n)
		}
		for _, p := range s.posts[1:] {
			if p.Get("refresh_token") != "rt-2" {
				t.Errorf("another token was sent: %v", p)
			}
		}
	})
}

// After a crash, the stored intent is found at the next start.
func TestUncertain_IntentFoundAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		s.overlap = 30 * time.Second
		inner := NewMemoryStore()
		store := &brokenStore{Store: inner}
		c := s.loggedIn(t, func(c *Config) { c.Store, c.Leeway = store, s.overlap })
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			store.set(func(string, *Grant) error { return errDisk }) // the process dies here
			next(w, r)
		})
		if _, err := c.Refresh(t.Context()); err == nil {
			t.Fatal("nothing that is not durable is served")
		}
		g, _ := inner.Load(t.Context(), demoKey)
		if g.Intent == nil || g.Intent.Hash != fingerprint("rt-2") || g.Generation != 1 {
			t.Fatalf("stored %+v", g)
		}
		cfg := s.config()
		cfg.Store, cfg.Leeway = inner, s.overlap
		if g, err := mustNew(t, cfg).Refresh(t.Context()); err != nil || g.Generation != 2 || s.revoked != 0 {
			t.Errorf("%v, %v, %d revoked", g, err, s.revoked)
		}
	})
}

// The store fails after the answer. Nothing is served before it is durable, no
// second request is sent, and the grant is saved later.
//
// Row F17 of docs/guarantees.md.
func TestRefresh_StoreDownAfterAnswer_NothingIsServed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		s.answer = func(b map[string]any) { delete(b, "id_token") } // so that only the store delays it
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { store.set(onSave); next(w, r) })
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassStoreUnavailable, "no space left")
		if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.AccessToken != "at-2" {
			t.Errorf("%v, %v", tok, err)
		}
		for range 20 {
			time.Sleep(time.Minute)
			_, err = c.Refresh(t.Context())
			wantError(t, err, ClassStoreUnavailable, "")
		}
		store.set(nil)
		time.Sleep(time.Minute)
		tok, err := c.Get(t.Context(), Request{MinValidity: 50 * time.Minute})
		if err != nil || tok.AccessToken != "at-3" && s.count("refresh_token") != 2 {
			t.Errorf("%v, %v", tok, err)
		}
		if s.revoked != 0 {
			t.Error("the spent token was sent")
		}
	})
}

type spillStore struct {
	*brokenStore
	spilled *Grant
}

func (s *spillStore) Spill(_ context.Context, _ string, g *Grant) error {
	s.spilled = g.clone()
	return nil
}

// TestRefresh_StoreDown_SpilledGrantIsServed tests row F17 of docs/guarantees.md.
func TestRefresh_StoreDown_SpilledGrantIsServed(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &spillStore{brokenStore: &brokenStore{Store: NewMemoryStore()}}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { store.set(onSave); next(w, r) })
		if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 2 {
			t.Fatalf("spilled is durable: %v, %v", g, err)
		}
		if st := c.Status(); st.State != StateDegraded || st.Failure.Class != ClassStoreUnavailable || store.spilled.RefreshToken != "rt-3" {
			t.Errorf("%+v, %v", st, store.spilled)
		}
		time.Sleep(5 * time.Minute)
		store.set(nil)
		time.Sleep(2 * time.Minute)
		g, err := store.Load(t.Context(), demoKey)
		if err != nil || g.RefreshToken != "rt-3" || s.count("refresh_token") != 1 || c.Status().State != StateReady {
			t.Errorf("made up for: %v, %v, %d requests, %+v", g, err, s.count("refresh_token"), c.Status())
		}
		stop()
		<-done
	})
}

func TestRefresh_IntentIsDurableBeforeRequest(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if g, err := store.Store.Load(r.Context(), demoKey); err != nil || g.Intent == nil || g.Intent.Hash != fingerprint("rt-2") {
				t.Errorf("at the request the store has %+v, %v", g, err)
			}
			next(w, r)
		})
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.set(onSave)
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassStoreUnavailable, "")
		if n := s.count("refresh_token"); n != 1 {
			t.Errorf("%d requests although the intent was not stored", n)
		}
	})
}

// A save that succeeded but reported an error is not a conflict with another
// process.
func TestRefresh_SaveSucceedsButReportsError(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		lied := false
		store.lose = func(op string, g *Grant) error {
			if op == "save" && g.Generation == 2 && !lied {
				lied = true
				return errors.New("timeout")
			}
			return nil
		}
		if g, err := c.Refresh(t.Context()); err != nil || g.Generation != 2 || !lied {
			t.Errorf("%v, %v", g, err)
		}
		if _, err := c.Refresh(t.Context()); err != nil || s.revoked != 0 {
			t.Errorf("then: %v", err)
		}
	})
}

// Many processes on one store: one request per expiry (F20).
//
// Row F20 of docs/guarantees.md.
func TestRefresh_ManyProcesses_OneRequestPerExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		s.loggedIn(t, func(c *Config) { c.Store = store })
		var clients []*Client
		for range 5 {
			cfg := s.config()
			cfg.Store = store
			clients = append(clients, mustNew(t, cfg))
		}
		const expiries = 200
		for range expiries {
			time.Sleep(59*time.Minute + time.Second)
			var wg sync.WaitGroup
			for _, c := range clients {
				for range 4 {
					wg.Go(func() {
						if tok, err := c.Get(t.Context(), Request{}); err != nil || tok.Remaining(time.Now()) < 59*time.Minute {
							t.Errorf("%v, %v", tok, err)
						}
					})
				}
			}
			wg.Wait()
		}
		if n := s.count("refresh_token"); n != expiries || s.revoked != 0 {
			t.Errorf("%d requests in %d expiries, %d families revoked", n, expiries, s.revoked)
		}
	})
}

// TestRefresh_InFlightElsewhere_IsAwaited: another process waits for the answer to its
// request. Without an overlap its intent looks like a lost answer, but its lease is not
// free: this process waits, and uses the result.
func TestRefresh_InFlightElsewhere_IsAwaited(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		one := s.loggedIn(t, func(c *Config) { c.Store = store })
		cfg := s.config()
		cfg.Store = store
		two := mustNew(t, cfg)
		if _, err := two.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			time.Sleep(5 * time.Second)
			next(w, r)
		})
		answered := make(chan *Token, 1)
		go func() {
			tok, err := one.Get(t.Context(), Request{Force: true})
			if err != nil {
				t.Error(err)
			}
			answered <- tok
		}()
		time.Sleep(time.Second) // the request is sent
		tok, err := two.Get(t.Context(), Request{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		if want := <-answered; tok.AccessToken != want.AccessToken || s.count("refresh_token") != 1 {
			t.Errorf("%q, not %q, after %d requests", tok.AccessToken, want.AccessToken, s.count("refresh_token"))
		}
	})
}

func TestLease_BusyThenExpired(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		if _, err := store.Lock(t.Context(), demoKey, 30*time.Second); err != nil { // held by a crashed process
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Get(ctx, Request{Force: true})
		wantError(t, err, ClassLeaseBusy, "another process")
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("waited %v", d)
		}
		if _, err := c.Refresh(t.Context()); err != nil || time.Since(start) > 31*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A lease is renewed while the work takes longer than its TTL, and released
// afterwards.
func TestLease_IsRenewedAndReleased(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := mustNew(t, func() Config { c := s.config(); c.Store = store; return c }())
		h, e := c.lock(t.Context(), &flight{stopped: make(chan struct{})})
		if e != nil {
			t.Fatal(e)
		}
		time.Sleep(5 * leaseMax)
		if _, err := store.Lock(t.Context(), demoKey, leaseMax); !errors.Is(err, ErrLocked) {
			t.Errorf("taken by another: %v", err)
		}
		h.release()
		if _, err := store.Lock(t.Context(), demoKey, leaseMax); err != nil {
			t.Errorf("not released: %v", err)
		}
	})
}

// Another process has refreshed although this one had the lease: its grant is
// used and not marked dead.
func TestRefresh_InvalidGrant_LoadsStoredGrantFirst(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		s.script(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			g, _ := store.Load(r.Context(), demoKey)
			g.RefreshToken, g.Intent, g.Generation = "rt-other", nil, 2
			tok := *g.Tokens[0]
			tok.AccessToken, tok.Generation = "at-other", 2
			g.Tokens = []*Token{&tok}
			store.mu.Lock()
			g.Revision++
			store.grants[demoKey] = g
			store.mu.Unlock()
			refuse(403, "invalid_grant")(w, r, nil)
		})
		g, err := c.Refresh(t.Context())
		if err != nil || g.State != GrantActive || g.RefreshToken != "rt-other" || c.Cached(Request{}).AccessToken != "at-other" {
			t.Errorf("%v, %v", g, err)
		}
	})
}
