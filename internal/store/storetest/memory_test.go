package storetest_test

import (
	"errors"
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
