package storetest_test

import (
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
		s := flow.NewMemoryStore()
		s.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		return storetest.Opened{Store: s, Other: s, Advance: func(d time.Duration) { skew.Add(int64(d)) }, Volatile: true}
	})
}
