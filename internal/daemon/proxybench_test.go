package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// bareProxy is httputil's own, with nothing around it.
func bareProxy(b *testing.B, upstream string) *httptest.Server {
	u, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: tr, FlushInterval: -1,
	})
	b.Cleanup(func() { s.Close(); tr.CloseIdleConnections() })
	return s
}

// The same requests, in turn, to an API by itself, through a bare proxy and
// through tokend's. The figures are times of one request; "ratio" is tokend's
// to the bare one's.
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name    string
		size    int // of the answer
		callers int // at the same time
	}{{"small", 1 << 10, 1}, {"small×16", 1 << 10, 16}, {"1MiB", 1 << 20, 1}, {"1MiB×16", 1 << 20, 16}} {
		b.Run(c.name, func(b *testing.B) {
			body := make([]byte, c.size)
			u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
			b.Cleanup(u.Close)
			d := start(b, Config{Clients: []Client{proxied(b, newTenant(b), u.URL)}})
			tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
			b.Cleanup(tr.CloseIdleConnections)
			targets := []string{u.URL + "/x", bareProxy(b, u.URL).URL + "/x", "http://" + d.addr + proxyPath + "/x"}
			var took [3]time.Duration
			for _, target := range targets { // connections and tokens are there
				fetchAll(b, tr, target, c.callers, c.size)
			}
			for b.Loop() {
				for i, target := range targets {
					began := time.Now()
					fetchAll(b, tr, target, c.callers, c.size)
					took[i] += time.Since(began)
				}
			}
			each := func(i int) float64 { return float64(took[i].Microseconds()) / float64(b.N*c.callers) }
			b.ReportMetric(0, "ns/op") // of all three together: it says nothing
			b.ReportMetric(each(0), "µs-direct")
			b.ReportMetric(each(1), "µs-bare")
			b.ReportMetric(each(2), "µs-tokend")
			b.ReportMetric(float64(took[2])/float64(took[1]), "ratio")
		})
	}
}

// fetchAll is one request of each caller.
func fetchAll(b *testing.B, tr *http.Transport, target string, callers, size int) {
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			r, err := http.NewRequestWithContext(b.Context(), "GET", target, nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+mainKey)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if cerr := resp.Body.Close(); err != nil || cerr != nil || resp.StatusCode != 200 || n != int64(size) {
				b.Error(resp.StatusCode, n, err, cerr)
			}
		})
	}
	all.Wait()
}
