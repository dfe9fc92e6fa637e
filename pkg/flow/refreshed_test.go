package flow

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Each attempt is reported once, with its result: not the answers from memory, nor a
// request that waits, nor one that the pause after a failure holds back.
func TestOnRefresh_OncePerAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		var mu sync.Mutex
		var got []Class
		c := s.loggedIn(t, func(c *Config) {
			c.OnRefresh = func(r Refresh) {
				mu.Lock()
				defer mu.Unlock()
				if r.Client != c.Name || r.Took < 0 || r.Took > time.Minute {
					t.Errorf("%+v", r)
				}
				got = append(got, r.Class)
			}
		})
		want := func(when string, results ...Class) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, results) {
				t.Errorf("%s: %q, want %q", when, got, results)
			}
			got = nil
		}
		got = nil // of the login
		get := func(r Request) {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { _, _ = c.Get(context.Background(), r) })
			}
			wg.Wait()
		}
		get(Request{})
		want("from memory")
		time.Sleep(2 * time.Hour)
		get(Request{})
		want("expired", "")
		s.keep(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		time.Sleep(2 * time.Hour)
		get(Request{})
		get(Request{})
		want("the tenant is down", ClassUnreachable)
	})
}
