package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/metrics"
	"example.com/tokend/pkg/flow"
)

// scraped returns the metrics that a key sees.
func (r *running) scraped(t testing.TB, key string) string {
	t.Helper()
	a := r.raw(t, "GET /metrics HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\n\n")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s, %v: %s", a.Status, a.Header, a.body)
	}
	return a.body
}

func hasSamples(t testing.TB, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+page, "\n"+line+"\n") {
			t.Errorf("no sample %s in\n%s", line, page)
		}
	}
}

func TestMetrics_NeedKeyAndShowItsClients(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci"), person(t, f, "web")}})
	if a := d.raw(t, "GET /metrics HTTP/1.1\nHost: HOST\n\n"); a.StatusCode != 401 || strings.Contains(a.body, "demo") {
		t.Errorf("without a key: %s %s", a.Status, a.body)
	}
	if a := d.raw(t, "GET /metrics HTTP/1.1\nHost: evil.example.com\nAuthorization: Bearer "+mainKey+"\n\n"); a.StatusCode != 403 {
		t.Errorf("for another host: %s", a.Status)
	}
	if a := d.raw(t, "GET /metrics HTTP/1.1\nHost: HOST\nOrigin: https://evil.example.com\nAuthorization: Bearer "+mainKey+"\n\n"); a.StatusCode != 403 {
		t.Errorf("from a web page: %s", a.Status)
	}
	all, limited := d.scraped(t, mainKey), d.scraped(t, ciKey)
	for _, name := range []string{"demo", "ci", "web"} {
		if sample := `tokend_client_state{client="` + name + `",`; !strings.Contains(all, sample) || strings.Contains(limited, sample) != (name == "ci") {
			t.Errorf("client %s: seen with the main key: %t, with the key of ci: %t", name, strings.Contains(all, sample), strings.Contains(limited, sample))
		}
	}
	if strings.Contains(limited, "demo") || strings.Contains(limited, `"web"`) {
		t.Errorf("the key of ci sees other clients:\n%s", limited)
	}
}

func TestMetrics_CountRequestsByRoute(t *testing.T) {
	f := newTenant(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/odd" {
			w.WriteHeader(299)
		}
	}))
	t.Cleanup(api.Close)
	up, err := flow.ParseUpstream(api.URL+"/", true)
	if err != nil {
		t.Fatal(err)
	}
	cl := kept(t, f, "demo")
	cl.Upstreams = []*url.URL{up}
	d := start(t, Config{Clients: []Client{cl}, Ready: func(context.Context) error { return errors.New("down") }})
	for range 3 {
		d.call(t, "GET", tokenPath, "")
	}
	d.call(t, "HEAD", tokenPath, "")
	d.call(t, "GET", "/v1/clients/canary-unknown/token", "")
	d.call(t, "GET", "/canary-path", "")
	d.call(t, "CANARY", tokenPath, "")
	d.raw(t, "GET "+tokenPath+" HTTP/1.1\nHost: HOST\n\n")
	for _, path := range []string{"", "/a", "/odd"} {
		d.call(t, "GET", "/v1/clients/demo/proxy"+path, "")
	}
	d.raw(t, "GET /v1/clients/demo/proxy/x HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+mainKey+"\nTokend-Upstream: https://other.example.com/\n\n")
	page := d.scraped(t, mainKey)
	for began := time.Now(); time.Since(began) < 10*time.Second; page = d.scraped(t, mainKey) { // a request is counted after its answer
		if strings.Contains(page, `code="other",route="/v1/clients/{client}/proxy"} 1`) && strings.Contains(page, `code="403",route="/v1/clients/{client}/proxy"} 1`) &&
			strings.Contains(page, `tokend_proxy_requests_total{client="demo",code="2xx"} 3`) && strings.Contains(page, `tokend_proxy_requests_total{client="demo",code="tokend"} 1`) {
			break
		}
	}
	hasSamples(t, page,
		`tokend_http_requests_total{code="200",route="/v1/clients/{client}/token"} 4`,
		`tokend_http_requests_total{code="401",route="/v1/clients/{client}/token"} 1`,
		`tokend_http_requests_total{code="404",route="/v1/clients/{client}/token"} 1`,
		`tokend_http_request_duration_seconds_count{route="/v1/clients/{client}/token"} 5`, // the log is for debugging: none is answered from memory without it
		`tokend_http_requests_total{code="404",route="other"} 1`,
		`tokend_http_requests_total{code="405",route="other"} 1`,
		`tokend_http_requests_total{code="200",route="/v1/clients/{client}/proxy"} 2`,
		`tokend_http_requests_total{code="403",route="/v1/clients/{client}/proxy"} 1`,
		`tokend_http_requests_total{code="other",route="/v1/clients/{client}/proxy"} 1`,
		`tokend_proxy_requests_total{client="demo",code="2xx"} 3`,
		`tokend_proxy_requests_total{client="demo",code="tokend"} 1`,
		`tokend_client_state{client="demo",state="ready"} 1`,
		`tokend_store_up 0`,
	)
	if strings.Contains(strings.ToLower(page), "canary") {
		t.Errorf("a label comes from outside:\n%s", page)
	}
}

// Counters go on over a reload, and a removed client has no samples.
func TestMetrics_OverReload(t *testing.T) {
	f := newTenant(t)
	demo := kept(t, f, "demo")
	m := metrics.New("v1.2.3", func() bool { return true })
	d := start(t, Config{Clients: []Client{demo, kept(t, f, "gone")}, Metrics: m})
	d.call(t, "GET", tokenPath, "")
	if err := d.Replace([]Client{demo}, []Key{{Name: "main", Secret: mainKey}}); err != nil {
		t.Fatal(err)
	}
	d.call(t, "GET", tokenPath, "")
	page := d.scraped(t, mainKey)
	hasSamples(t, page, `tokend_http_requests_total{code="200",route="/v1/clients/{client}/token"} 2`)
	if strings.Contains(page, `"gone"`) {
		t.Error("a removed client has samples")
	}
	noCanary(t, "the metrics", page)
}

// BenchmarkMetrics: a scrape of 10,000 clients, for which docs/metrics.md promises less
// than 100 ms.
func BenchmarkMetrics(b *testing.B) {
	f := newTenant(b)
	var clients []Client
	for i := range 10_000 {
		clients = append(clients, kept(b, f, fmt.Sprintf("client-%d", i)))
	}
	d, err := New(Config{Clients: clients, Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		b.Fatal(err)
	}
	r := benchRequest()
	r.URL.Path = "/metrics"
	for b.Loop() {
		d.handler.ServeHTTP(&sink{http.Header{}}, r)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/scrape")
}

// broken is a connection that takes no bytes.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space in the pipe") }

func TestMetrics_NotWritten_IsLogged(t *testing.T) {
	var log strings.Builder
	d, err := New(Config{Clients: []Client{kept(t, newTenant(t), "demo")}, Keys: []Key{{Name: "main", Secret: mainKey}}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := benchRequest()
	r.URL.Path, r.RequestURI = "/metrics", "/metrics"
	d.handler.ServeHTTP(broken{httptest.NewRecorder()}, r)
	if !strings.Contains(log.String(), "metrics not written") || !strings.Contains(log.String(), "no space in the pipe") {
		t.Errorf("the log: %s", log.String())
	}
}
