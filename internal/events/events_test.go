package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/tokend/pkg/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func anyClient(string) bool { return true }

func TestHub_ReaderFallsBehind_IsTold(t *testing.T) {
	h := New("a", quiet())
	r := h.After("")
	for i := range kept + 10 {
		h.Publish(flow.Event{Kind: flow.EventRefreshed, Client: fmt.Sprint(i)})
	}
	e, err := r.Next(t.Context(), anyClient)
	if err != nil || e.Kind != Missed {
		t.Fatalf("%+v, %v", e, err)
	}
	again := h.After(e.ID) // of a reader that comes back after the missed event
	for i := 10; i < kept+10; i++ {
		for _, r := range []*Reader{r, again} {
			if e, err := r.Next(t.Context(), anyClient); err != nil || e.Client != fmt.Sprint(i) || e.ID != fmt.Sprintf("a-%d", i+1) {
				t.Fatalf("event %d: %+v, %v", i, e, err)
			}
		}
	}
}

func TestHub_ReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New("a", quiet())
		var got [2]Event
		var done sync.WaitGroup
		for i := range got {
			r := h.After("")
			done.Go(func() { got[i], _ = r.Next(t.Context(), func(client string) bool { return client == "mine" }) })
		}
		synctest.Wait()
		h.Publish(flow.Event{Client: "other"})
		synctest.Wait()
		h.Publish(flow.Event{Client: "mine"})
		done.Wait()
		if got[0].ID != "a-2" || got[1].ID != "a-2" {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.After("").Next(ctx, anyClient); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// webhook answers with a status per request, then 200.
type webhook struct {
	mu       sync.Mutex
	statuses []int
	bodies   []string
	headers  []http.Header
	at       []time.Time
}

func (w *webhook) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies, w.headers, w.at = append(w.bodies, string(b)), append(w.headers, r.Header), append(w.at, time.Now())
	rec := httptest.NewRecorder()
	if len(w.statuses) > 0 {
		rec.Code, w.statuses = w.statuses[0], w.statuses[1:]
	}
	return rec.Result(), nil
}

func testEvent(kind flow.EventKind) Event {
	return Event{ID: "boot-7", Event: flow.Event{
		Kind: kind, Time: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC), Client: "demo", Issuer: "https://acme.eu.auth0.com/",
		State: flow.StateLoginRequired, Generation: 7, GrantEnds: time.Date(2000, 1, 9, 0, 0, 0, 0, time.UTC),
		Failure: &flow.Failure{Time: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC), Class: flow.ClassLoginRequired, Code: "invalid_grant", Hint: "log in again"},
	}}
}

// running runs a deliverer in virtual time.
func running(t *testing.T, target Target, base http.RoundTripper, log *slog.Logger, test func(d *Deliverer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := NewDeliverer(target, time.Now, log)
		d.http.Transport = base
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		test(d)
		stop()
		<-done
	})
}

func TestWebhook_SignedAndRetriedInOrder(t *testing.T) {
	w := &webhook{statuses: []int{503, 429}}
	target := Target{URL: "https://hooks.example.com/secret-path", Key: func() (flow.Secret, error) { return "key", nil }}
	running(t, target, w, quiet(), func(d *Deliverer) {
		start := time.Now()
		d.Add(testEvent(flow.EventRefreshed)) // not by default
		d.Add(testEvent(flow.EventLoginRequired))
		d.Add(testEvent(flow.EventResumed))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.bodies) != 4 || w.bodies[0] != w.bodies[2] || !strings.Contains(w.bodies[3], `"resumed"`) {
			t.Fatalf("%d requests: %q", len(w.bodies), w.bodies)
		}
		if d := w.at[2].Sub(start); d != 3*time.Second {
			t.Errorf("two retries after %v, want 1s and 2s", d)
		}
		golden(t, "webhook", fmt.Sprintf("%s: %s\n%s: %s\n%s: %s\n\n%s\n", headerID, w.headers[0].Get(headerID),
			headerTimestamp, w.headers[0].Get(headerTimestamp), headerSignature, w.headers[0].Get(headerSignature), w.bodies[0]))
		if again := w.headers[2]; again.Get(headerTimestamp) == w.headers[0].Get(headerTimestamp) || again.Get(headerSignature) == w.headers[0].Get(headerSignature) {
			t.Error("a retry has the timestamp of the first request")
		}
	})
}

func TestWebhook_GivesUp(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		most   int
	}{
		"refused":       {400, 1},
		"redirect":      {307, 1},
		"never answers": {500, 20},
	} {
		t.Run(name, func(t *testing.T) {
			w := &webhook{}
			for range 1000 {
				w.statuses = append(w.statuses, tc.status)
			}
			var log strings.Builder
			running(t, Target{URL: "https://hooks.example.com/secret-path", Key: func() (flow.Secret, error) { return "canary-key", nil }}, w,
				slog.New(slog.NewTextHandler(&log, nil)), func(d *Deliverer) {
					d.Add(testEvent(flow.EventLoginRequired))
					time.Sleep(time.Hour)
					synctest.Wait()
					if len(w.bodies) < 1 || len(w.bodies) > tc.most {
						t.Errorf("%d requests", len(w.bodies))
					}
					if text := log.String(); strings.Count(text, "an event was not delivered") != 1 || strings.Contains(text, "secret-path") || strings.Contains(text, "canary") {
						t.Errorf("%s", text)
					}
				})
		})
	}
}

// cut is a connection that breaks before the answer.
type cut struct{ requests int }

func (c *cut) RoundTrip(*http.Request) (*http.Response, error) {
	c.requests++
	return nil, errors.New("connection reset by peer")
}

func TestWebhook_ConnectionBreaks_IsRetriedWithoutNamingTheURL(t *testing.T) {
	c := &cut{}
	var log strings.Builder
	target := Target{URL: "https://hooks.example.com/canary", Key: func() (flow.Secret, error) { return "key", nil }}
	running(t, target, c, slog.New(slog.NewTextHandler(&log, nil)), func(d *Deliverer) {
		d.Add(testEvent(flow.EventLoginRequired))
		time.Sleep(time.Hour)
		synctest.Wait()
	})
	if c.requests < 2 || !strings.Contains(log.String(), "connection reset by peer") || strings.Contains(log.String(), "canary") {
		t.Errorf("%d requests\n%s", c.requests, log.String())
	}
}

func TestDeliverer_QueueIsBounded(t *testing.T) {
	var log strings.Builder
	d := NewDeliverer(Target{URL: "https://hooks.example.com/"}, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	lost := 0
	d.Lost = func(reason error) {
		if !errors.Is(reason, ErrDropped) {
			t.Errorf("lost because of %v", reason)
		}
		lost++
	}
	for range queued + 3 {
		d.Add(testEvent(flow.EventLoginRequired))
	}
	if lost != 3 {
		t.Errorf("%d events reported as lost, want 3", lost)
	}
	if n := strings.Count(log.String(), "an event was not delivered"); n != 3 {
		t.Errorf("%d events reported as dropped, want 3", n)
	}
}

func TestCommand_GetsEventOnStandardInputOnly(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	d := NewDeliverer(Target{Command: []string{"sh", "-c", `cat >"$OUT"; env | grep -c DEMO_SECRET >>"$OUT"; exit 0`}, Env: []string{"PATH=" + os.Getenv("PATH"), "OUT=" + out}}, time.Now, quiet())
	if err := d.run(t.Context(), []byte(`{"id":"a-1"}`)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != `{"id":"a-1"}0`+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	d.target.Command = []string{"sh", "-c", "exit 3"}
	if err := d.run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := d.run(late, nil); err == nil || !strings.Contains(err.Error(), "sh: stopped after 30s") {
		t.Error(err)
	}
}

func TestWebhook_MalformedURL(t *testing.T) {
	d := NewDeliverer(Target{URL: "https://hooks.example.com/%zz-canary", Key: func() (flow.Secret, error) { return "key", nil }}, time.Now, quiet())
	if again, err := d.post(t.Context(), testEvent(flow.EventLoginRequired), nil); again || err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("again %v, %v", again, err)
	}
}

func TestEvent_JSON(t *testing.T) {
	for name, e := range map[string]Event{
		"event": testEvent(flow.EventLoginRequired), "event_missed": {ID: "boot-7", Event: flow.Event{Kind: Missed}},
	} {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(b)+"\n")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s differs (%v):\n got: %s\nwant: %s", path, err, got, want)
	}
}

func TestHub_RecentHasTheKeptEventsOfAClient(t *testing.T) {
	h := New("x", slog.New(slog.DiscardHandler))
	for n := range kept + 10 {
		h.Publish(flow.Event{Client: []string{"a", "b"}[n%2], Generation: int64(n)})
	}
	got := h.Recent("b")
	if len(got) != kept/2 || got[0].Generation != 11 || got[len(got)-1].Generation != kept+9 {
		t.Errorf("%d events, from %d to %d", len(got), got[0].Generation, got[len(got)-1].Generation)
	}
	if got := h.Recent("c"); len(got) != 0 {
		t.Errorf("an unknown client has %d", len(got))
	}
}
