package metrics

import (
	"fmt"
	"io"
	"testing"
	"time"
)

var allStates = []string{"starting", "ready", "degraded", "login_required", "client_rejected", "restored", "unavailable"}

func many(m *Metrics, n int) Scrape {
	s := Scrape{States: allStates, StoreUp: true}
	at := time.Unix(1_800_000_000, 0)
	for i := range n {
		c := Client{Name: fmt.Sprintf("client-%d", i), State: "ready", TokenExpiry: at, GrantEnd: at}
		m.Refreshed(c.Name, success, time.Second)
		m.Refreshed(c.Name, "idp_timeout", time.Second)
		m.Proxied(c.Name, 200, false)
		s.Clients = append(s.Clients, c)
	}
	return s
}

// BenchmarkWrite: a scrape of 10,000 clients, for which docs/metrics.md promises less
// than 100 ms.
func BenchmarkWrite(b *testing.B) {
	m := New("v1.2.3", func() bool { return true })
	s := many(m, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Write(io.Discard, s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/scrape")
}
