package flow

import (
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// BenchmarkReadersAtExpiry: 10,000 callers ask for a token that has expired: one POST,
// and all get its token. The metrics are the time until the last caller has it after the
// POST was answered, the memory of a waiting caller, and what of that is kept
// afterwards.
func BenchmarkReadersAtExpiry(b *testing.B) {
	const readers = 10_000
	s := newTenant()
	s.lifetime = time.Hour
	c := s.loggedIn(b, nil)
	var answered time.Time
	release := make(chan struct{})
	s.keep(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		<-release
		answered = time.Now()
		next(w, r)
	})
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // less than 2^63
	}
	var took time.Duration
	var waiting, kept int64
	rounds := 0
	for b.Loop() {
		rounds++
		before := heap()
		posts := s.count("refresh_token")
		var got sync.WaitGroup
		var asking sync.WaitGroup
		asking.Add(readers)
		release = make(chan struct{})
		old := c.Cached(Request{}).AccessToken
		for range readers {
			got.Go(func() {
				asking.Done()
				if t, err := c.Get(b.Context(), Request{Not: old}); err != nil || t.AccessToken == old {
					b.Error(err)
				}
			})
		}
		asking.Wait()
		time.Sleep(100 * time.Millisecond) // until the last one waits
		waiting += heap() - before
		close(release)
		got.Wait()
		took += time.Since(answered)
		if n := s.count("refresh_token") - posts; n != 1 {
			b.Fatalf("%d POSTs", n)
		}
		kept += heap() - before
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(rounds), "ms-until-last")
	b.ReportMetric(float64(waiting)/float64(rounds)/readers, "B/reader")
	b.ReportMetric(float64(kept)/float64(rounds)/readers, "B/reader-kept")
}
