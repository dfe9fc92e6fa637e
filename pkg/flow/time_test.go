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

// TestRefresh_SlowBody_EndsAtDeadline tests row F14 of docs/guarantees.md.
func TestRefresh_SlowBody_EndsAtDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, func(cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPost || s.count("") == 0 {
					return s.RoundTrip(r)
				}
				return &http.Response{
					StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: &dripping{ctx: r.Context()}, Request: r,
				}, nil
			})}
		})
		start := time.Now()
		_, err := c.Refresh(t.Context())
		wantError(t, err, ClassTimeout, "")
		if d := time.Since(start); d > 16*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// dripping is a body of one byte a second, ended by the context like a
// connection.
type dripping struct{ ctx context.Context }

func (d *dripping) Read(b []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		b[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}
func (d *dripping) Close() error { return nil }

// TestGet_ClockSteps tests row F15 of docs/guarantees.md.
func TestGet_ClockSteps(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var step time.Duration
		clock := func() time.Time { return time.Now().Round(0).Add(step) } // wall clock only
		s.now = clock
		c := s.loggedIn(t, nil)
		step = time.Hour
		if _, err := c.Get(t.Context(), Request{}); err != nil || s.count("refresh_token") != 1 {
			t.Fatalf("an hour later: %v, %d refreshes", err, s.count("refresh_token"))
		}
		step = 0 // an hour back: by the wall clock the token is valid for two hours
		if _, err := c.Get(t.Context(), Request{}); err != nil || s.count("refresh_token") != 2 {
			t.Fatalf("set back: %v, %d refreshes", err, s.count("refresh_token"))
		}
	})
	now := time.Now() // with a monotonic reading, a small step back is noticed, too
	e := entry{token: &Token{Expiry: now.Round(0).Add(40 * time.Minute)}, life: time.Hour, left: 10 * time.Minute, at: now}
	if left := e.remaining(now.Add(4 * time.Minute)); left != 6*time.Minute {
		t.Errorf("remaining %v", left)
	}
}

// TestGet_ManyCallers_OneRequest tests rows F22, F23 of docs/guarantees.md.
func TestGet_ManyCallers_OneRequest(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		time.Sleep(2 * time.Hour)
		s.serving = make(chan struct{})
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		served, left := 0, 0
		for i := range 10_000 {
			ctx := leaving
			if i%2 == 0 {
				ctx = t.Context()
			}
			wg.Go(func() {
				tok, err := c.Get(ctx, Request{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil && tok.AccessToken == "at-3" {
					served++
				} else if errors.Is(err, context.Canceled) {
					left++
				}
			})
		}
		synctest.Wait()
		if c.tasks.n != 1 {
			t.Errorf("%d flights", c.tasks.n)
		}
		leave()
		synctest.Wait()
		close(s.serving)
		wg.Wait()
		if served != 5000 || left != 5000 || s.count("refresh_token") != 1 {
			t.Errorf("%d served, %d left, %d requests", served, left, s.count("refresh_token"))
		}
		// All callers give up: the refresh is still completed and stored.
		time.Sleep(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		s.serving = make(chan struct{})
		if _, err := c.Get(ctx, Request{}); err == nil {
			t.Error("served before the answer")
		}
		close(s.serving)
		c.tasks.wait()
		if g, err := c.cfg.Store.Load(t.Context(), demoKey); err != nil || g.Generation != 3 {
			t.Errorf("stored %v, %v", g, err)
		}
	})
}

// A JWT's exp has whole seconds. The token expires then, even if expires_in is a
// fraction or more later (B24).
func TestRefresh_JWTExpiryInWholeSeconds(t *testing.T) {
	for name, tc := range map[string]struct {
		at, exp, want time.Duration // since a full second; the lifetime
	}{
		"rounded down": {700 * time.Millisecond, 3 * time.Second, 2300 * time.Millisecond},
		"the same":     {0, 3 * time.Second, 3 * time.Second},
		"later":        {0, 4 * time.Second, 3 * time.Second},
		"earlier":      {700 * time.Millisecond, 2 * time.Second, 1300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *tenant) {
				full := time.Now()
				time.Sleep(tc.at)
				s.answer = func(b map[string]any) {
					b["expires_in"], b["access_token"] = 3, unsigned(map[string]any{"exp": full.Add(tc.exp).Unix()})
					delete(b, "id_token")
				}
				c := s.loggedIn(t, func(c *Config) { c.Scopes = []string{"offline_access"} })
				token, err := c.Get(t.Context(), Request{})
				if err != nil {
					t.Fatal(err)
				}
				if got := token.Remaining(time.Now()); got != tc.want {
					t.Errorf("valid for %v, want %v", got, tc.want)
				}
			})
		})
	}
}
