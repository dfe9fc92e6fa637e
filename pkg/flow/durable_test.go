package flow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stoppedStore is the store of a process that is stopped while it holds a lease,
// so nothing renews it. It can spill.
type stoppedStore struct {
	*MemoryStore
	fail func(g *Grant) error // before a save; nil: none

	mu     sync.Mutex
	saves  int // that failed
	before int // of them before the first spill
	spills []*Grant
}

type stoppedLease struct{ Lease }

func (l stoppedLease) Renew(context.Context) error { return errors.New("stopped") }

func (s *stoppedStore) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	l, err := s.MemoryStore.Lock(ctx, key, ttl)
	if err != nil {
		return nil, err
	}
	return stoppedLease{l}, nil
}

func (s *stoppedStore) Save(ctx context.Context, l Lease, g *Grant) error {
	if s.fail != nil {
		if err := s.fail(g); err != nil {
			s.mu.Lock()
			s.saves++
			s.mu.Unlock()
			return err
		}
	}
	return s.MemoryStore.Save(ctx, l.(stoppedLease).Lease, g)
}

func (s *stoppedStore) Spill(_ context.Context, _ string, g *Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spills = append(s.spills, g.clone()); len(s.spills) == 1 {
		s.before = s.saves
	}
	return nil
}

// A process dies after the provider has rotated, and holds the lease (F27). The
// next one waits for at most a third of the overlap and replays inside it.
//
// Row F27 of docs/guarantees.md.
func TestRefresh_DeadLeaseHolder_ReplaysInsideOverlap(t *testing.T) {
	for _, overlap := range []time.Duration{10 * time.Second, 30 * time.Second} {
		bubble(t, func(t *testing.T, s *tenant) {
			s.overlap = overlap
			store := NewMemoryStore()
			c := s.loggedIn(t, func(c *Config) { c.Store, c.Leeway = store, overlap })
			g, _ := store.Load(t.Context(), demoKey)
			l, err := store.Lock(t.Context(), demoKey, c.leaseTTL()) // the dead process's
			if err != nil {
				t.Fatal(err)
			}
			g.Intent = &Intent{Time: s.now(), Generation: 1, Hash: fingerprint(g.RefreshToken)}
			if err := store.Save(t.Context(), l, g); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			s.n++
			s.rotate("rt-2", map[string]any{})
			s.mu.Unlock()
			begun := time.Now()
			next := mustNew(t, *c.cfg)
			if g, err := next.Refresh(t.Context()); err != nil || g.Generation != 2 || s.revoked != 0 {
				t.Errorf("%v: %v, %v, %d revoked", overlap, g, err, s.revoked)
			}
			if d := time.Since(begun); d > overlap/3+time.Second {
				t.Errorf("%v: waited %v", overlap, d)
			}
		})
	}
}

// Two replays without an answer still fit into the overlap.
//
// Row F27 of docs/guarantees.md.
func TestRefresh_TwoReplaysTimeOut_FitIntoOverlap(t *testing.T) {
	for _, overlap := range []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second} {
		bubble(t, func(t *testing.T, s *tenant) {
			s.overlap = overlap
			c := s.loggedIn(t, func(c *Config) { c.Leeway = overlap })
			defer running(t, c)()
			time.Sleep(time.Minute)
			s.script(hangAfter, hangAfter)
			_, _ = c.Refresh(t.Context())
			time.Sleep(overlap)
			if g := c.grant(); g.State != GrantActive || g.Generation != 2 || s.revoked != 0 || s.count("refresh_token") != 3 {
				t.Errorf("%v: %+v, %d revoked, %d requests", overlap, g, s.revoked, s.count("refresh_token"))
			}
		})
	}
}

// A process that was stopped between intent and request finds its lease expired,
// by the monotonic clock or by the wall clock, and sends nothing.
//
// Row F28 of docs/guarantees.md.
func TestRefresh_LeaseExpired_NothingIsSent(t *testing.T) {
	for _, clock := range []string{"monotonic", "wall"} {
		bubble(t, func(t *testing.T, s *tenant) {
			store := &stoppedStore{MemoryStore: NewMemoryStore()}
			var ahead atomic.Int64 // of the wall clock
			var stopped atomic.Bool
			now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			c := s.loggedIn(t, func(c *Config) {
				c.Store, c.Leeway, c.Now = store, 30*time.Second, now
				c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if stopped.Load() && clock == "wall" {
						ahead.Store(int64(11 * time.Second))
					} else if stopped.Load() {
						time.Sleep(11 * time.Second)
						ahead.Store(-int64(11 * time.Second)) // the wall clock was set back by as much
					}
					return s.RoundTrip(r)
				})}
			})
			stopped.Store(true)
			_, err := c.Refresh(t.Context())
			wantError(t, err, ClassLeaseBusy, "nothing was sent")
			if n := s.count("refresh_token"); n != 0 && s.posts[len(s.posts)-1].Get("refresh_token") != "" {
				t.Errorf("%s: the refresh token was sent", clock)
			}
			if g, _ := store.Load(t.Context(), demoKey); g.Intent != nil || g.State != GrantActive {
				t.Errorf("%s: stored %+v", clock, g)
			}
			stopped.Store(false)
			ahead.Store(0)
			if _, err := c.Refresh(t.Context()); err != nil || s.revoked != 0 {
				t.Errorf("%s: %v, %d revoked", clock, err, s.revoked)
			}
		})
	}
}

// Another process has taken the lease when the answer arrives. The answer is used
// unless the other process has a later grant, or the client was logged out.
//
// Row F29 of docs/guarantees.md.
func TestRefresh_AnswerAfterLeaseWasTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		other func(g *Grant) // stored by the other process
		good  bool
		token Secret // served afterwards
	}{
		"nothing stored": {nil, true, "at-3"},
		"uncertain":      {func(g *Grant) { g.State = GrantUncertain }, true, "at-3"},
		"refreshed, too": {func(g *Grant) {
			tok := *g.Tokens[0]
			tok.AccessToken, tok.Generation = "at-other", 2
			g.RefreshToken, g.Generation, g.Intent, g.Tokens = "rt-other", 2, nil, []*Token{&tok}
		}, true, "at-other"},
		"logged out": {func(g *Grant) {
			*g = Grant{Issuer: g.Issuer, ClientID: g.ClientID, State: GrantLoggedOut, Revision: g.Revision}
		}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				store := &stoppedStore{MemoryStore: NewMemoryStore()}
				c := s.loggedIn(t, func(c *Config) { c.Store = store })
				s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
					next(w, r)
					time.Sleep(leaseMax)
					l, err := store.Lock(context.Background(), demoKey, time.Second)
					if err != nil {
						t.Error(err)
						return
					}
					if tc.other != nil {
						g, _ := store.Load(context.Background(), demoKey)
						if tc.other(g); store.Save(context.Background(), l, g) != nil {
							t.Error("the other process cannot save")
						}
					}
				})
				tok, err := c.Get(t.Context(), Request{Force: true})
				if tc.good && (err != nil || tok.AccessToken != tc.token) || !tc.good && !errors.Is(err, ErrLogin) {
					t.Errorf("%v, %v", tok, err)
				}
				g, _ := store.Load(t.Context(), demoKey)
				switch {
				case tc.token == "at-3" && (g.Generation != 2 || g.RefreshToken != "rt-3" || g.State != GrantActive):
					t.Errorf("stored %+v", g)
				case tc.token == "at-other" && len(store.spills) != 1:
					t.Errorf("%d spilled", len(store.spills))
				case !tc.good && (g.State != GrantLoggedOut || !s.refresh["rt-3"].dead):
					t.Errorf("stored %+v, or the successor was not revoked", g)
				}
				if s.count("refresh_token") != 1 {
					t.Errorf("%d requests", s.count("refresh_token"))
				}
			})
		})
	}
}

// After the first failed save the grant is spilled and served.
//
// Row F30 of docs/guarantees.md.
func TestRefresh_FirstSaveFails_GrantIsSpilled(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &stoppedStore{MemoryStore: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		s.answer = func(b map[string]any) { delete(b, "id_token") } // nothing else is written
		store.fail = func(g *Grant) error {
			if g.Generation == 2 {
				return errDisk
			}
			return nil
		}
		tok, err := c.Get(t.Context(), Request{Force: true})
		if err != nil || tok.AccessToken != "at-3" || store.before != 1 || len(store.spills) != 1 || store.spills[0].RefreshToken != "rt-3" {
			t.Fatalf("%v, %v, %d writes, %d spilled", tok, err, store.before, len(store.spills))
		}
		if st := c.Status(); st.State != StateDegraded || st.Failure.Class != ClassStoreUnavailable {
			t.Errorf("%+v", st)
		}
		store.fail = nil
		stop := running(t, c)
		time.Sleep(time.Minute)
		stop()
		if g, _ := store.Load(t.Context(), demoKey); g.RefreshToken != "rt-3" || c.Status().State != StateReady || s.count("refresh_token") != 1 {
			t.Errorf("stored %v, %s, %d requests", g, c.Status().State, s.count("refresh_token"))
		}
	})
}

// carelessStore answers nothing at all.
type carelessStore struct {
	*MemoryStore
	load bool // Load does, otherwise Lock
}

func (s *carelessStore) Load(ctx context.Context, key string) (*Grant, error) {
	if s.load {
		return nil, nil
	}
	return s.MemoryStore.Load(ctx, key)
}

func (s *carelessStore) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	if !s.load {
		return nil, nil
	}
	return s.MemoryStore.Lock(ctx, key, ttl)
}

func TestStore_AnswersNothing(t *testing.T) {
	for _, load := range []bool{true, false} {
		bubble(t, func(t *testing.T, s *tenant) {
			cfg := s.config()
			cfg.Store = &carelessStore{MemoryStore: NewMemoryStore(), load: load}
			_, err := mustNew(t, cfg).Get(t.Context(), Request{})
			wantError(t, err, ClassStoreUnavailable, "the store returned neither a ")
		})
	}
}

// lastingFault is a store that saves nothing after a login, and has no place to spill.
type lastingFault struct {
	*MemoryStore
	broken atomic.Bool
}

func (s *lastingFault) Save(ctx context.Context, l Lease, g *Grant) error {
	if s.broken.Load() && g.Generation > 1 {
		return errDisk
	}
	return s.MemoryStore.Save(ctx, l, g)
}

// The last word on a grant that could not be stored.
func TestClose_SaysWhatIsNotStored(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &lastingFault{MemoryStore: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		store.broken.Store(true)
		_, err := c.Get(t.Context(), Request{Force: true})
		wantError(t, err, ClassStoreUnavailable, "")
		wantError(t, c.Close(), ClassStoreUnavailable, "the refreshed grant is in no store")
		store.broken.Store(false)
		if err := c.Close(); err != nil {
			t.Errorf("the store works again: %v", err)
		}
		if g, _ := store.Load(t.Context(), demoKey); g.RefreshToken != "rt-3" {
			t.Errorf("stored %v", g)
		}
	})
	bubble(t, func(t *testing.T, s *tenant) { // a spilled grant is durable
		store := &stoppedStore{MemoryStore: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		store.fail = func(g *Grant) error {
			if g.Generation > 1 {
				return errDisk
			}
			return nil
		}
		if _, err := c.Get(t.Context(), Request{Force: true}); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("after a spill: %v", err)
		}
	})
}

// A logout is stored: no process and no later start sends a request before a
// login, with any grant.
//
// Row F31 of docs/guarantees.md.
func TestForget_LogoutIsStored(t *testing.T) {
	sources := credentialSources(t)
	sources["authorization_code"] = AuthorizationCode{Headless: true}
	sources["client_credentials"] = ClientCredentials{}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				store := NewMemoryStore()
				with := func(c *Config) { c.Store, c.RedirectURL = store, "http://localhost/callback" }
				first := s.newCredentialClient(t, source, with)
				if _, err := first.Get(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
				if err := first.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				posts := s.count("")
				second := s.newCredentialClient(t, source, with)
				defer running(t, second)()
				time.Sleep(3 * time.Hour)
				for _, c := range []*Client{first, second, s.newCredentialClient(t, source, with)} {
					_, err := c.Get(t.Context(), Request{})
					wantError(t, err, ClassLoginRequired, "logged out")
					if st := c.Status(); st.State != StateLoginRequired {
						t.Errorf("%s", st.State)
					}
				}
				if n := s.count("") - posts; n != 0 {
					t.Errorf("%d requests after the logout", n)
				}
				if _, err := first.LoginHeadless(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(checkInterval + time.Second)
				if _, err := second.Get(t.Context(), Request{}); err != nil {
					t.Errorf("after a login: %v", err)
				}
			})
		})
	}
}

// Errors that do not concern the grant have no lasting effect.
//
// Row F33 of docs/guarantees.md.
func TestRun_TransientFailures_RecoversByItself(t *testing.T) {
	page := raw(403, "text/html", "<title>Oops</title>")
	bubble(t, func(t *testing.T, s *tenant) { // a page at the first login
		s.setAuthorize(page)
		c := mustNew(t, s.config())
		defer running(t, c)()
		time.Sleep(10 * time.Minute)
		if st := c.Status(); st.State != StateUnavailable || st.Failure.Class != ClassConfig {
			t.Errorf("%+v", st)
		}
		s.setAuthorize(nil)
		if time.Sleep(2 * time.Minute); c.Status().State != StateReady {
			t.Errorf("%+v", c.Status())
		}
	})
	for name, fail := range map[string]func(s *tenant){
		"page":          func(s *tenant) { s.setAuthorize(page) },
		"client secret": func(s *tenant) { s.script(refuse(401, "invalid_client")) },
		"code":          func(s *tenant) { s.script(refuse(403, "invalid_grant")) },
		"down":          func(s *tenant) { s.script(refuse(503, "")) },
	} {
		bubble(t, func(t *testing.T, s *tenant) { // a second login that fails, headless and by a person
			c := s.loggedIn(t, nil)
			fail(s)
			if _, err := c.LoginHeadless(t.Context()); err == nil {
				t.Errorf("%s: logged in", name)
			}
			s.setAuthorize(nil)
			l, err := c.Login(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fail(s)
			_, err = c.Finish(t.Context(), l, url.Values{"code": {"CANARY-code"}, "state": {l.State}})
			if err == nil {
				t.Errorf("%s: finished", name)
			}
			s.setAuthorize(nil)
			s.script()
			if st := c.Status(); st.State != StateReady || st.Failure != nil {
				t.Errorf("%s: %+v", name, st)
			}
			if _, err := c.Refresh(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// The secret's file has just changed: one more attempt.
//
// Row F10 of docs/guarantees.md.
func TestRefresh_RejectedClient_RetriesWithChangedSecret(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		secret := Secret("CANARY-old")
		c := s.loggedIn(t, func(c *Config) {
			c.ClientSecret, c.Auth = "", AuthPost
			c.ClientSecretFrom = func(context.Context) (Secret, error) { return secret, nil }
		})
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			secret = "CANARY-new"
			refuse(401, "invalid_client")(w, r, next)
		})
		if _, err := c.Refresh(t.Context()); err != nil || s.posts[len(s.posts)-1].Get("client_secret") != "CANARY-new" {
			t.Errorf("%v", err)
		}
		s.keep(refuse(401, "invalid_client"))
		n := s.count("refresh_token")
		_, err := c.Refresh(t.Context())
		if wantError(t, err, ClassClientRejected, ""); s.count("refresh_token") != n+1 {
			t.Errorf("%d requests for a secret that is the same", s.count("refresh_token")-n)
		}
		_, err = c.Get(t.Context(), Request{MinValidity: 59 * time.Minute, Not: "at-3"})
		if wantError(t, err, ClassClientRejected, ""); s.count("refresh_token") != n+1 {
			t.Error("asked before the probe")
		}
		secret = "CANARY-newer"
		s.keep(nil)
		if _, err := c.Get(t.Context(), Request{Not: "at-3"}); err != nil {
			t.Errorf("another secret is tried at once: %v", err)
		}
	})
}

// The rate limit is stored, so that another process respects it.
//
// Row F07 of docs/guarantees.md.
func TestRefresh_RateLimitIsStored(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, func(c *Config) { c.Store = NewMemoryStore() })
		s.script(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			w.Header().Set("Retry-After", "7")
			refuse(429, "too_many_requests")(w, r, next)
		})
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassRateLimited, "")
		second := mustNew(t, *c.cfg)
		_, err = second.Refresh(t.Context())
		if e := wantError(t, err, ClassRateLimited, ""); e.RetryAfter > 7*time.Second || s.count("refresh_token") != 1 {
			t.Errorf("%v, %d requests", e.RetryAfter, s.count("refresh_token"))
		}
		time.Sleep(7 * time.Second)
		if _, err := second.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An older copy of the store was restored: nothing is sent until somebody resumes
// or logs in. Without rotation there is no risk.
//
// Row F32 of docs/guarantees.md.
func TestRefresh_RestoredStore_NothingIsSent(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *Client) error{
		"resume": func(t *testing.T, c *Client) error { return c.Resume(t.Context()) },
		"login":  func(t *testing.T, c *Client) error { _, err := c.LoginHeadless(t.Context()); return err },
	} {
		bubble(t, func(t *testing.T, s *tenant) {
			store := NewMemoryStore()
			c := s.loggedIn(t, func(c *Config) { c.Store = store })
			store.mu.Lock()
			store.grants[demoKey].Restored = true
			store.mu.Unlock()
			c = mustNew(t, *c.cfg)
			stop := running(t, c)
			time.Sleep(2 * time.Hour)
			_, err := c.Refresh(t.Context())
			wantError(t, err, ClassRestored, "older copy")
			if st := c.Status(); st.State != StateRestored || s.count("refresh_token") != 0 {
				t.Errorf("%s, %d requests", st.State, s.count("refresh_token"))
			}
			stop()
			if err := end(t, c); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Refresh(t.Context()); err != nil || c.Status().State != StateReady {
				t.Errorf("%s: %v, %s", name, err, c.Status().State)
			}
		})
	}
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		s.rotating = false
		c := s.loggedIn(t, func(c *Config) { c.Store, c.Rotation = store, RotationOff })
		store.mu.Lock()
		store.grants[demoKey].Restored = true
		store.mu.Unlock()
		if _, err := mustNew(t, *c.cfg).Refresh(t.Context()); err != nil {
			t.Errorf("without rotation: %v", err)
		}
	})
}

// The provider repeats the access token with a new expiry.
//
// Row F34 of docs/guarantees.md.
func TestRefresh_SameTokenNewExpiry(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Second, time.Minute, time.Hour} {
		bubble(t, func(t *testing.T, s *tenant) {
			s.lifetime = lifetime
			s.answer = func(b map[string]any) { b["access_token"] = "at-static"; delete(b, "id_token") }
			c := mustNew(t, func() Config { c := s.config(); c.Scopes = []string{"offline_access"}; return c }())
			defer running(t, c)()
			const lives = 100
			time.Sleep(lives * lifetime)
			if n := s.count("refresh_token"); n > 2*lives {
				t.Errorf("%v: %d requests in %d lives", lifetime, n, lives)
			}
			if _, err := c.LoginHeadless(t.Context()); err != nil || !c.Status().Expiry.Equal(s.now().Add(lifetime)) {
				t.Errorf("%v: a login answers with %v: %v", lifetime, c.Status().Expiry, err)
			}
		})
	}
}

// A later login without a refresh token keeps the previous one, for the same
// subject.
//
// Row B23 of docs/guarantees.md.
func TestLogin_NoRefreshToken_PreviousIsKept(t *testing.T) {
	for subject, keeps := range map[string]bool{"user|1": true, "user|2": false} {
		bubble(t, func(t *testing.T, s *tenant) {
			c := s.loggedIn(t, nil)
			s.answer = func(b map[string]any) { delete(b, "refresh_token") }
			s.claims = func(m map[string]any) { m["sub"] = subject }
			if _, err := c.LoginHeadless(t.Context()); err != nil {
				t.Fatal(err)
			}
			g := c.grant()
			if kept := g.RefreshToken == "rt-2"; kept != keeps || keeps && g.Generation != 2 {
				t.Errorf("%s: %+v", subject, g)
			}
			s.answer = nil
			if _, err := c.Refresh(t.Context()); keeps && (err != nil || s.revoked != 0) {
				t.Errorf("%s: %v, %d revoked", subject, err, s.revoked)
			}
		})
	}
}

// If a refresh is still rejected when the access token has expired, a login is
// needed.
func TestRefresh_RejectedUntilExpiry_NeedsLogin(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		s.keep(refuse(403, "access_denied"))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassRequest, "access_denied")
		if st := c.Status(); st.State != StateDegraded {
			t.Errorf("%s", st.State)
		}
		time.Sleep(2 * time.Hour)
		_, err = c.Get(t.Context(), Request{})
		wantError(t, err, ClassLoginRequired, "access_denied")
		if st := c.Status(); st.State != StateLoginRequired {
			t.Errorf("%s", st.State)
		}
	})
}

// While the outcome of a refresh is unknown, status and errors say when it is
// retried.
func TestRefresh_OutcomeUnknown_IsReported(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		s.script(refuse(503, ""))
		_, err := c.Refresh(t.Context())
		e := wantError(t, err, ClassUnreachable, "")
		if e.RetryAfter != 59*time.Minute || e.Hint != "the provider may have used the refresh token, so it is not sent again until 2000-01-01T00:59:00Z; to retry now, log in again" {
			t.Errorf("of the request itself: %v, %q", e.RetryAfter, e.Hint)
		}
		time.Sleep(5 * time.Minute)
		_, err = c.Refresh(t.Context())
		e = wantError(t, err, ClassUnreachable, "may or may not have reached the provider; retrying at 2000-01-01T00:59:00Z")
		if e.RetryAfter != 54*time.Minute || e.Hint != "to retry now, log in again" {
			t.Errorf("%v, %q", e.RetryAfter, e.Hint)
		}
		if f := c.Status().Failure; f == nil || f.Description != e.Description || f.Hint != e.Hint {
			t.Errorf("%+v", f)
		}
	})
}

// A forced refresh right after the start is sent, although Run loads the stored
// token at that moment. Retry has no effect on a working client.
func TestRefresh_ForcedAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &brokenStore{Store: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		store.set(func(op string, _ *Grant) error {
			if op == "load" {
				time.Sleep(time.Second)
			}
			return nil
		})
		c = mustNew(t, *c.cfg)
		defer running(t, c)()
		g, err := c.Refresh(t.Context())
		if err != nil || g.Generation != 2 || s.count("refresh_token") != 1 {
			t.Errorf("%v, %v, %d requests", g, err, s.count("refresh_token"))
		}
		c.Retry()
		if time.Sleep(time.Minute); s.count("refresh_token") != 1 {
			t.Error("Retry has refreshed a client that is well")
		}
	})
}

// A login of another process after a logout, or a logout that it stores while
// this process waits to log in again, holds: what Run knew before does not count.
//
// Row F31 of docs/guarantees.md.
func TestRun_LogoutDuringRelogin_Holds(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := NewMemoryStore()
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		defer running(t, c)()
		s.script(refuse(403, "invalid_grant"))
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassLoginRequired, "")
		if err := mustNew(t, *c.cfg).Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := s.count("authorization_code")
		if time.Sleep(time.Hour); s.count("authorization_code") != n {
			t.Error("logged in again after the logout of another process")
		}
		if g, _ := store.Load(t.Context(), demoKey); g.State != GrantLoggedOut {
			t.Errorf("stored %+v", g)
		}
	})
}

// For a client with a seed, a login with the same seed is a refresh: it is
// refused while it may send a used token, and after a logout.
//
// Row F32 of docs/guarantees.md.
func TestLoginHeadless_SameSeed_IsARefresh(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		first := s.loggedIn(t, nil)
		seed := Seed{RefreshToken: first.grant().RefreshToken}
		store := NewMemoryStore()
		cfg := s.config()
		cfg.Source, cfg.RedirectURL, cfg.Store = seed, "", store
		c := mustNew(t, cfg)
		if _, err := c.Get(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		posts := s.count("refresh_token")
		store.mu.Lock()
		store.grants[demoKey].Restored = true
		store.mu.Unlock()
		_, err := c.LoginHeadless(t.Context())
		wantError(t, err, ClassRestored, "give a new refresh token")
		if s.count("refresh_token") != posts {
			t.Error("the token of an older copy was sent")
		}
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = c.LoginHeadless(t.Context())
		wantError(t, err, ClassLoginRequired, "give a new refresh token")
		if s.count("refresh_token") != posts {
			t.Error("the seed was sent after the logout")
		}
	})
}
