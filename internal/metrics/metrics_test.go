package metrics

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "rewrite the table of docs/metrics.md")

func always() bool { return true }

// page is one scrape, as text and as Prometheus reads it.
func scrape(t *testing.T, m *Metrics, s Scrape) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	s.States = allStates
	var b bytes.Buffer
	if err := m.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatalf("Prometheus cannot read the scrape: %v\n%s", err, &b)
	}
	return b.String(), families
}

func has(t *testing.T, page string, lines ...string) {
	t.Helper()
	all := strings.Split(page, "\n")
	for _, line := range lines {
		if !slices.Contains(all, line) {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("no line %s; there are:\n%s", line, strings.Join(slices.DeleteFunc(slices.Clone(all), func(l string) bool { return !strings.HasPrefix(l, name) }), "\n"))
		}
	}
}

func TestWrite_StateAndTimesOfClients(t *testing.T) {
	m := New("v1.2.3", always)
	page, _ := scrape(t, m, Scrape{StoreUp: true, Clients: []Client{
		{Name: "demo", State: "degraded", TokenExpiry: time.Unix(1_800_000_000, 0), GrantEnd: time.Unix(1_900_000_000, 5e8)},
		{Name: `a"b\c`, State: "starting"},
	}})
	has(t, page,
		`tokend_token_expiry_timestamp_seconds{client="demo"} 1800000000`,
		`tokend_grant_end_timestamp_seconds{client="demo"} 1900000000`,
		`tokend_client_state{client="demo",state="degraded"} 1`,
		`tokend_client_state{client="demo",state="ready"} 0`,
		`tokend_client_state{client="a\"b\\c",state="starting"} 1`,
		`tokend_refresh_total{client="demo",result="success"} 0`,
		`tokend_store_up 1`,
		`tokend_store_notifications_up 1`,
	)
	if strings.Contains(page, `expiry_timestamp_seconds{client="a`) {
		t.Error("an unknown time has a sample")
	}
}

func TestWrite_CountsOfClients(t *testing.T) {
	m := New("v1.2.3", always)
	m.Refreshed("demo", "success", 300*time.Millisecond)
	m.Refreshed("demo", "success", time.Second)
	m.Refreshed("demo", "idp_timeout", 15*time.Second)
	m.Refreshed("other", "success", time.Second)
	m.Proxied("demo", 204, false)
	m.Proxied("demo", 404, false)
	m.Proxied("demo", 403, true)
	m.Proxied("demo", 999, false)
	page, _ := scrape(t, m, Scrape{Clients: []Client{{Name: "demo"}}})
	has(t, page,
		`tokend_refresh_total{client="demo",result="success"} 2`,
		`tokend_refresh_total{client="demo",result="idp_timeout"} 1`,
		`tokend_refresh_duration_seconds_count 4`,
		`tokend_refresh_duration_seconds_bucket{le="0.5"} 1`,
		`tokend_proxy_requests_total{client="demo",code="2xx"} 1`,
		`tokend_proxy_requests_total{client="demo",code="4xx"} 1`,
		`tokend_proxy_requests_total{client="demo",code="tokend"} 1`,
		`tokend_proxy_requests_total{client="demo",code="other"} 1`,
		`tokend_store_up 0`,
	)
	if strings.Contains(page, `"other",`) {
		t.Errorf("the scrape has a client that its caller may not see:\n%s", page)
	}
}

func TestWrite_CountsOfService(t *testing.T) {
	m := New("v1.2.3", func() bool { return false })
	r := m.Route("/v1/clients")
	r.Done(200)
	r.Done(200)
	r.Took(20 * time.Second)
	r.Took(time.Millisecond)
	m.Route("/v1/clients").Done(503)
	for _, status := range []int{0, 99, 299, 600, 999, -1} { // what only an upstream answers
		r.Done(status)
	}
	m.Stored(OpSave, time.Millisecond, true)
	m.Event("degraded")
	m.Undelivered(Dropped)
	page, _ := scrape(t, m, Scrape{})
	has(t, page,
		`tokend_http_requests_total{code="200",route="/v1/clients"} 2`,
		`tokend_http_requests_total{code="503",route="/v1/clients"} 1`,
		`tokend_http_requests_total{code="other",route="/v1/clients"} 6`,
		`tokend_http_request_duration_seconds_count{route="/v1/clients"} 2`,
		`tokend_http_request_duration_seconds_bucket{route="/v1/clients",le="10"} 1`,
		`tokend_store_operation_duration_seconds_count{operation="save"} 1`,
		`tokend_store_operation_duration_seconds_count{operation="load"} 0`,
		`tokend_store_errors_total{operation="save"} 1`,
		`tokend_events_total{type="degraded"} 1`,
		`tokend_events_undelivered_total{reason="dropped"} 1`,
		`tokend_events_undelivered_total{reason="failed"} 0`,
		`tokend_store_notifications_up 0`,
	)
	for _, want := range []string{`tokend_build_info{goversion="go`, `,version="v1.2.3"} 1`, "\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
}

// A caller that is gone ends the scrape.
func TestWrite_ReportsErrorOfWriter(t *testing.T) {
	m := New("v1.2.3", always)
	gone := errors.New("gone")
	for after := range 3 {
		if err := m.Write(&failing{after, gone}, many(m, 2000)); !errors.Is(err, gone) {
			t.Errorf("after %d writes: %v", after, err)
		}
	}
}

type failing struct {
	after int
	err   error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, f.err
	}
	return len(b), nil
}

// TestTable compares the table of docs/metrics.md with a scrape in which every metric
// has a sample. -update rewrites it.
func TestTable(t *testing.T) {
	m := New("v1.2.3", always)
	m.Route("/v1/clients").Done(200)
	m.Event("degraded")
	_, families := scrape(t, m, many(m, 1))
	var rows []string
	for name, f := range families {
		if !strings.HasPrefix(name, "tokend_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		slices.Sort(labels)
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	slices.Sort(rows)
	path := filepath.Join("..", "..", "docs", "metrics.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const head, end = "| metric | type | labels | |\n|---|---|---|---|\n", "\n"
	before, rest, found := strings.Cut(string(b), head)
	table, after, complete := strings.Cut(rest, "\n\n")
	if !found || !complete {
		t.Fatalf("%s has no table", path)
	}
	want := strings.Join(rows, "")
	if *update {
		if err := os.WriteFile(path, []byte(before+head+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table+"\n" != want {
		t.Errorf("the table of %s is not what a scrape has; go test ./internal/metrics -update rewrites it:\n%s", path, want)
	}
}
