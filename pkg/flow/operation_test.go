package flow

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Each operation is reported with its end, and has the values of the request that began
// it: a trace shows what belongs to what.
func TestOnStart_OperationsAndTheirParents(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T, s *tenant) {
		var mu sync.Mutex
		var got []string
		c := s.loggedIn(t, func(c *Config) {
			c.OnStart = func(ctx context.Context, o Operation) (context.Context, func(Class)) {
				of, _ := ctx.Value(key{}).(string)
				if o.Client != c.Name {
					t.Errorf("%+v", o)
				}
				return context.WithValue(ctx, key{}, of+"/"+o.Name), func(class Class) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, of+"/"+o.Name+" "+o.GrantType+" "+string(class))
				}
			}
		})
		want := func(when string, operations ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, operations) {
				t.Errorf("%s: %q, want %q", when, got, operations)
			}
			got = nil
		}
		want("the login", "/refresh/token_request authorization_code ", "/refresh  ")
		get := func() {
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "request"), time.Hour)
			defer cancel()
			_, _ = c.Get(ctx, Request{})
		}
		get()
		want("from memory")
		time.Sleep(2 * time.Hour)
		get()
		want("expired", "request/refresh/token_request refresh_token ", "request/refresh  ")
		s.keep(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		time.Sleep(2 * time.Hour)
		get()
		want("the tenant is down", "request/refresh/token_request refresh_token "+string(ClassUnreachable), "request/refresh  "+string(ClassUnreachable))
	})
}
