package daemon

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"example.com/tokend/internal/audit"
	"example.com/tokend/pkg/flow"
)

// sink is a ResponseWriter that costs nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// benchRequest returns a token request like net/http passes it.
func benchRequest() *http.Request {
	r := httptest.NewRequest("GET", tokenPath, nil)
	r.Host = "127.0.0.1:8484"
	r.Header.Set("Authorization", "Bearer "+mainKey)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8484}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
}

func benchDaemon(b *testing.B) *Daemon {
	cl := kept(b, newTenant(b), "demo")
	if _, err := cl.Get(b.Context(), flow.Request{}); err != nil {
		b.Fatal(err)
	}
	d, err := New(Config{Clients: []Client{cl}, Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// bare answers the same bytes as the daemon, without routes and guards.
func bare(d *Daemon) http.Handler {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, benchRequest())
	body := w.Body.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = jsonType
		h["Cache-Control"] = noStore
		h["X-Content-Type-Options"] = noSniff
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	})
}

func BenchmarkTokenRead(b *testing.B) {
	d := benchDaemon(b)
	benchHandler(b, d.handler)
}

func BenchmarkBareHandler(b *testing.B) { benchHandler(b, bare(benchDaemon(b))) }

func benchHandler(b *testing.B, h http.Handler) {
	r, w := benchRequest(), &sink{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// The same over a kept connection, as callers see it.
func BenchmarkTokenReadHTTP(b *testing.B) {
	d := benchDaemon(b)
	benchHTTP(b, d.handler)
}

func BenchmarkBareHandlerHTTP(b *testing.B) { benchHTTP(b, bare(benchDaemon(b))) }

func benchHTTP(b *testing.B, h http.Handler) {
	s := httptest.NewServer(h)
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), "GET", s.URL+tokenPath, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+mainKey)
		resp, err := s.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err, cerr)
		}
	}
}

// The fast path must not build JSON, which would be one allocation a field, nor a writer
// of the answer for the audit log.
func TestToken_CachedReadAllocatesLittle(t *testing.T) {
	f := newTenant(t)
	cl := kept(t, f, "demo")
	if _, err := cl.Get(t.Context(), flow.Request{}); err != nil {
		t.Fatal(err)
	}
	l, _ := auditLog(t)
	for name, l := range map[string]*audit.Log{"plain": nil, "audited": l} {
		d, err := New(Config{Clients: []Client{cl}, Keys: []Key{{Name: "main", Secret: mainKey}}, Audit: l, Rate: 1e6})
		if err != nil {
			t.Fatal(err)
		}
		r, w := benchRequest(), &sink{http.Header{}}
		d.handler.ServeHTTP(w, r)
		least := math.Inf(1) // of many: the race detector empties pools
		for range 50 {
			least = min(least, testing.AllocsPerRun(1, func() { d.handler.ServeHTTP(w, r) }))
		}
		if least > 0 {
			t.Errorf("%s: %v allocations a read", name, least)
		}
	}
}
