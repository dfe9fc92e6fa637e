package flow

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestGet_Not(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		c := s.loggedIn(t, nil)
		for _, not := range []Secret{"at-1", "something"} {
			if tok, err := c.Get(t.Context(), Request{Not: not}); err != nil || tok.AccessToken != "at-2" {
				t.Errorf("not %s: %v, %v", not.Reveal(), tok, err)
			}
		}
		if w := c.want(Request{Not: "at-1"}); c.cachedFor(w) == nil {
			t.Error("a token that was stored since is not used")
		}
		if tok, err := c.Get(t.Context(), Request{Not: "at-2"}); err != nil || tok.AccessToken != "at-3" {
			t.Errorf("%v, %v", tok, err)
		}
		s.keep(refuse(403, "access_denied"))
		_, err := c.Get(t.Context(), Request{Not: "at-3"})
		wantError(t, err, ClassRequest, "access_denied") // not the rejected token, although it is valid
	})
}

// A refresh that has issued its token but not ended yet does not count as one
// that was made after that token was rejected.
func TestGet_Not_DuringRefreshOfThatToken(t *testing.T) {
	bubble(t, func(t *testing.T, s *tenant) {
		store := &slowRelease{MemoryStore: NewMemoryStore()}
		c := s.loggedIn(t, func(c *Config) { c.Store = store })
		store.hold.Store(true)
		go func() { _, _ = c.Refresh(t.Context()) }()
		time.Sleep(time.Second)
		tok, err := c.Get(t.Context(), Request{})
		if err != nil || tok.AccessToken != "at-3" {
			t.Fatalf("%v, %v", tok, err)
		}
		if tok, err = c.Get(t.Context(), Request{Not: "at-3"}); err != nil || tok.AccessToken != "at-4" {
			t.Errorf("%s, %v", tok.AccessToken.Reveal(), err)
		}
	})
}

// slowRelease takes two seconds to release a lease when hold is set.
type slowRelease struct {
	*MemoryStore
	hold atomic.Bool
}

type slowLease struct {
	Lease
	store *slowRelease
}

func (s *slowRelease) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	l, err := s.MemoryStore.Lock(ctx, key, ttl)
	return &slowLease{l, s}, err
}

func (s *slowRelease) Save(ctx context.Context, l Lease, g *Grant) error {
	return s.MemoryStore.Save(ctx, l.(*slowLease).Lease, g)
}

func (l *slowLease) Release(ctx context.Context) error {
	if l.store.hold.Load() {
		time.Sleep(2 * time.Second)
	}
	return l.Lease.Release(ctx)
}
