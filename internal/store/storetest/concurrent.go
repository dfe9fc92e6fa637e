package storetest

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"example.com/tokend/pkg/flow"
)

// Increment takes the lease of a key, increments its grant's generation and
// releases the lease. It waits while others hold it.
func Increment(t testing.TB, s flow.Store, key string) {
	var l flow.Lease
	var err error
	for l, err = s.Lock(t.Context(), key, ttl); errors.Is(err, flow.ErrLocked); l, err = s.Lock(t.Context(), key, ttl) {
		runtime.Gosched()
	}
	if err != nil {
		t.Errorf("Lock = %v", err)
		return
	}
	g, err := s.Load(t.Context(), key)
	if errors.Is(err, flow.ErrNotFound) {
		g, err = &flow.Grant{State: flow.GrantActive}, nil
	}
	if err != nil {
		t.Errorf("Load = %v", err)
		return
	}
	g.Generation++
	if err := s.Save(t.Context(), l, g); err != nil {
		t.Errorf("Save = %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("Release = %v", err)
	}
}

func testNoLostUpdate(t *testing.T, o Opened) {
	const goroutines, rounds = 8, 10
	var wg sync.WaitGroup
	for i := range goroutines {
		s := []flow.Store{o.Store, o.Other}[i%2]
		wg.Go(func() {
			for range rounds {
				Increment(t, s, "a")
			}
		})
	}
	wg.Wait()
	if got := load(t, o.Store, "a").Generation; got != goroutines*rounds {
		t.Errorf("generation %d after %d increments", got, goroutines*rounds)
	}
}

// testOneSaveWinsPerRevision saves concurrently with one lease, so that only the
// revision decides. Each revision has at most one successor, and a chain of
// successors leads from the first to the last.
func testOneSaveWinsPerRevision(t *testing.T, o Opened) {
	const goroutines, rounds = 8, 20
	l := lock(t, o.Store, "a")
	first := &flow.Grant{State: flow.GrantActive}
	save(t, o.Store, l, first)

	var mu sync.Mutex
	child := map[int64]int64{}
	refused := 0
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				g, err := o.Store.Load(t.Context(), "a")
				if err != nil {
					t.Errorf("Load = %v", err)
					return
				}
				parent := g.Revision
				g.Generation++
				runtime.Gosched()
				err = o.Store.Save(t.Context(), l, g)
				mu.Lock()
				switch other, taken := child[parent]; {
				case errors.Is(err, flow.ErrConflict):
					refused++
				case err != nil:
					t.Errorf("Save = %v", err)
				case taken:
					t.Errorf("revision %d was replaced twice, by %d and %d", parent, other, g.Revision)
				default:
					child[parent] = g.Revision
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	steps, at := 0, first.Revision
	for next, ok := child[at]; ok; next, ok = child[at] {
		steps, at = steps+1, next
	}
	last := load(t, o.Store, "a")
	if steps != len(child) || at != last.Revision || last.Generation != int64(steps) {
		t.Errorf("%d saves won, %d of them in one line to revision %d; stored are revision %d, generation %d",
			len(child), steps, at, last.Revision, last.Generation)
	}
	if len(child)+refused != goroutines*rounds {
		t.Errorf("%d won and %d refused of %d", len(child), refused, goroutines*rounds)
	}
}
