package flow

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

func BenchmarkCached(b *testing.B) {
	s := newTenant()
	c := s.loggedIn(b, nil)
	other := Request{Audience: "https://other.test/", Scopes: []string{"read", "write"}, MinValidity: time.Minute}
	if _, err := c.Get(context.Background(), other); err != nil {
		b.Fatal(err)
	}
	for name, r := range map[string]Request{"default": {}, "other audience": other} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Get(context.Background(), r); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// The fast path allocates nothing.
func TestCached_DoesNotAllocate(t *testing.T) {
	s := newTenant()
	c := s.loggedIn(t, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	r := Request{Scopes: []string{"profile", "openid", "offline_access"}, MinValidity: time.Minute}
	if n := testing.AllocsPerRun(100, func() {
		if tok, err := c.Get(context.Background(), r); err != nil || tok == nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
