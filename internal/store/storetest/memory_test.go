package storetest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Opened {
		var skew atomic.Int64
		s := &flow.MemoryStore{Now: func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }}
		return storetest.Opened{Store: s, Other: s, Advance: func(d time.Duration) { skew.Add(int64(d)) }, Volatile: true}
	})
}

// TestMemoryStore_ZeroValue: each operation works on a store that was not created
// by NewMemoryStore, in any order.
func TestMemoryStore_ZeroValue(t *testing.T) {
	ctx := t.Context()
	if _, err := (&flow.MemoryStore{}).Load(ctx, "a"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Load = %v, want ErrNotFound", err)
	}
	if err := (&flow.MemoryStore{}).Delete(ctx, "a"); err != nil {
		t.Errorf("Delete = %v", err)
	}
	storetest.Increment(t, &flow.MemoryStore{}, "a")
}

// careless ignores the revision at Save.
type careless struct{ flow.MemoryStore }

func (s *careless) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	g.Revision = 0
	if stored, err := s.Load(ctx, l.Key()); err == nil {
		g.Revision = stored.Revision
	}
	return s.MemoryStore.Save(ctx, l, g)
}

// generous returns a store whose leases have always expired.
func generous() *flow.MemoryStore {
	var days atomic.Int64
	return &flow.MemoryStore{Now: func() time.Time { return time.Unix(0, 0).AddDate(0, 0, int(days.Add(1))) }}
}

// forgetful loads what was saved before the last Save.
type forgetful struct {
	flow.MemoryStore
	mu    sync.Mutex
	stale map[string]*flow.Grant
}

func (s *forgetful) Load(ctx context.Context, key string) (*flow.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.stale[key]; g != nil {
		delete(s.stale, key)
		return g, nil
	}
	return s.MemoryStore.Load(ctx, key)
}

func (s *forgetful) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, _ := s.MemoryStore.Load(ctx, l.Key())
	err := s.MemoryStore.Save(ctx, l, g)
	if err == nil && old != nil {
		s.stale[l.Key()] = old
	}
	return err
}

// TestHistory_FindsDefects: the check of histories rejects stores with a defect, and
// accepts the one without.
func TestHistory_FindsDefects(t *testing.T) {
	for name, tc := range map[string]struct {
		store func() flow.Store
		want  bool
	}{
		"none":                           {func() flow.Store { return flow.NewMemoryStore() }, true},
		"Save ignores the revision":      {func() flow.Store { return &careless{} }, false},
		"Lock gives a held lease again":  {func() flow.Store { return generous() }, false},
		"Load returns the previous save": {func() flow.Store { return &forgetful{stale: map[string]*flow.Grant{}} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := tc.store()
				history, err := storetest.History(t.Context(), storetest.Opened{Store: s, Other: s}, seed, 4, 40)
				if err != nil {
					t.Fatal(err)
				}
				if got := storetest.Linearizable(history, true); got != tc.want {
					t.Errorf("seed %d: linearizable is %v, want %v", seed, got, tc.want)
				}
			}
		})
	}
}
