package postgres_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
)

// heard are the keys that Watch has reported.
type heard struct {
	mu   sync.Mutex
	keys []string
	more chan struct{}
}

// watch watches until the test ends, and waits for the first report.
func watch(t *testing.T, s *postgres.Store) *heard {
	t.Helper()
	h := &heard{more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(key string) {
			h.mu.Lock()
			h.keys = append(h.keys, key)
			h.mu.Unlock()
			select {
			case h.more <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	h.await(t, "")
	return h
}

// await waits for a key, and forgets all that were reported until then.
func (h *heard) await(t *testing.T, key string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		h.mu.Lock()
		found := slices.Contains(h.keys, key)
		if found {
			h.keys = nil
		}
		h.mu.Unlock()
		if found {
			return
		}
		select {
		case <-h.more:
		case <-timeout:
			t.Fatalf("%q was not reported", key)
		}
	}
}

func TestWatch(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	s, other := open(t, url, o), open(t, url, o)
	h := watch(t, s)
	must(t, s.WatchError())
	for _, key := range []string{"a", "é\x00", "'; DROP TABLE", strings.Repeat("k", 4096)} {
		start := time.Now()
		put(t, other, key, 1)
		h.await(t, key)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%.9q after %v", key, d)
		}
		must(t, other.Delete(t.Context(), key))
		h.await(t, key)
	}
	put(t, other, strings.Repeat("k", 9000), 1) // too long for a notification
	h.await(t, "")
	put(t, s, "mine", 1)
	h.await(t, "mine")
}

// TestWatch_OneStore: a store in another schema of the same database is not heard.
func TestWatch_OneStore(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	cluster.SQL(t, pgtest.Database(t, url), "CREATE SCHEMA two")
	s, other := open(t, url, o), open(t, url+"&search_path=two", o)
	if s.ID() == other.ID() {
		t.Fatal("one store")
	}
	h := watch(t, s)
	put(t, other, "other", 1)
	put(t, s, "mine", 1)
	h.await(t, "mine")
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.Contains(h.keys, "other") {
		t.Error("the other store was heard")
	}
}

// TestWatch_ConnectionLost: after the connection is back, any grant may have changed.
func TestWatch_ConnectionLost(t *testing.T) {
	url, o := cluster.URL(t), postgres.Options{Sealer: newKeys(t)}
	w, through := newWire(t, url)
	s, other := open(t, through, o), open(t, url, o)
	h := watch(t, s)
	w.held.Store(true)
	w.cutAll()
	put(t, other, "a", 1)
	w.held.Store(false)
	h.await(t, "")
	put(t, other, "b", 1)
	h.await(t, "b")
	must(t, s.WatchError())
}
