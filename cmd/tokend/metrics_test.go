package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/events"
	"example.com/tokend/internal/metrics"
	"example.com/tokend/pkg/flow"
)

// scrape returns the metrics of a service as Prometheus gets them.
func (s *served) scrape(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.tcp+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+canaryKey)
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s %v: %s", r.Status, err, b)
	}
	return string(b)
}

// What happens in a service is in its metrics, without a secret; and every metric that
// the alert rules and the dashboard name is there.
func TestMetrics_OfService(t *testing.T) {
	f := newTenant(t)
	r := serveFile(t, f, oneClient+"  seeded: {issuer: ISSUER, client_id: seeded, client_secret: "+canarySecret+", grant: refresh_token, refresh_token: "+canaryFresh+"}\n")
	for _, name := range []string{"demo", "seeded"} {
		if o := runTokend(t, "token", name); o.code != 0 {
			t.Fatalf("%+v", o)
		}
	}
	f.refuse(http.StatusUnauthorized, "invalid_client")
	if o := runTokend(t, "refresh", "demo"); o.code == 0 {
		t.Fatalf("%+v", o)
	}
	page := r.scrape(t)
	for _, want := range []string{
		`tokend_refresh_total\{client="demo",result="success"\} 1`,
		`tokend_refresh_total\{client="demo",result="client_rejected"\} [1-9]\d*`,
		`tokend_refresh_duration_seconds_count [2-9]\d*`,
		`tokend_client_state\{client="demo",state="client_rejected"\} 1`,
		`tokend_token_expiry_timestamp_seconds\{client="demo"\} \d{10}`,
		`tokend_grant_end_timestamp_seconds\{client="seeded"\} \d{10}`,
		`tokend_events_total\{type="refreshed"\} 2`,
		`tokend_events_total\{type="refresh_failing"\} 1`,
		`tokend_store_operation_duration_seconds_count\{operation="load"\} [1-9]\d*`,
		`tokend_store_operation_duration_seconds_count\{operation="save"\} [1-9]\d*`,
		`tokend_store_operation_duration_seconds_count\{operation="lock"\} [1-9]\d*`,
		`tokend_store_operation_duration_seconds_count\{operation="ping"\} 1`,
		`tokend_store_errors_total\{operation="load"\} 0`,
		`tokend_store_up 1`,
		`tokend_store_notifications_up 1`,
		`tokend_http_requests_total\{code="200",route="/v1/clients/\{client\}/token"\} [1-9]\d*`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(page) {
			t.Errorf("no sample %s in\n%s", want, page)
		}
	}
	noCanary(t, "the metrics", page)
	inScrape(t, page, "prometheus/tokend.rules.yml", "prometheus/tokend.rules.test.yml", "grafana/tokend.json")
}

// inScrape compares the metrics that files of deploy/ name with a scrape.
func inScrape(t *testing.T, page string, files ...string) {
	t.Helper()
	samples := map[string]bool{}
	for line := range strings.Lines(page) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			samples[name] = true
		}
	}
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(tokend|process|go)_[a-z_]+`).FindAllString(string(b), -1)
		if len(names) < 5 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range names {
			if !samples[name] {
				t.Errorf("%s: no scrape has %s", file, name)
			}
		}
	}
}

func TestMetrics_OfLostEventsAndStore(t *testing.T) {
	s := &serving{metrics: metrics.New("v1.2.3", func() bool { return true })}
	s.countLost(fmt.Errorf("on_event: %w", events.ErrDropped))
	s.countLost(errors.New("the webhook answered 500"))
	m := measuredStore{metrics: s.metrics}
	for _, err := range []error{nil, flow.ErrNotFound, flow.ErrLocked, flow.ErrConflict, context.Canceled, errors.New("disk is full"), flow.ErrReplaced} {
		m.done(metrics.OpSave, time.Now(), err)
	}
	var page strings.Builder
	if err := s.metrics.Write(&page, metrics.Scrape{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`tokend_events_undelivered_total{reason="dropped"} 1`, `tokend_events_undelivered_total{reason="failed"} 1`,
		`tokend_store_operation_duration_seconds_count{operation="save"} 7`, `tokend_store_errors_total{operation="save"} 2`,
	} {
		if !strings.Contains(page.String(), want+"\n") {
			t.Errorf("no sample %s", want)
		}
	}
}
