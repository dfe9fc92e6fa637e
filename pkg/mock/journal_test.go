package mock_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tokend/pkg/mock"
)

type requests struct {
	Count    int
	Requests []mock.Entry
	Dropped  int
	Error    string
}

func (w *world) requests(query string, status int) requests {
	w.Helper()
	r := w.control("GET", "/_mock/requests?"+query, "")
	if r.status != status {
		w.Fatalf("%s: %d %s", query, r.status, r.body)
	}
	return decodeJSON[requests](w.TB, r.body)
}

func TestJournalKeepsTheLastEntriesAndCountsTheDropped(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for range 10003 {
		w.get("/nowhere")
	}
	got := w.requests("", 200)
	if got.Count != 10000 || got.Dropped != 3 || w.Journal().Dropped() != 3 {
		t.Errorf("%d entries, %d dropped", got.Count, got.Dropped)
	}
	for i, e := range got.Requests {
		if e.Number != i+4 {
			t.Fatalf("entry %d has the number %d", i, e.Number)
		}
	}
	if after := w.requests("after=10000", 200); after.Count != 3 || after.Dropped != 0 || after.Requests[0].Number != 10001 {
		t.Errorf("%+v", after)
	}
	w.Journal().Reset()
	w.get("/nowhere")
	if got := w.requests("", 200); got.Count != 1 || got.Dropped != 0 || got.Requests[0].Number != 10004 {
		t.Errorf("after a reset %+v", got)
	}
}

func TestRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mock.Config{})
		began := time.Now()
		go func() {
			for range 2 {
				time.Sleep(2 * time.Second)
				w.otherBrowser().get("/userinfo")
			}
		}()
		got := w.requests("endpoint=userinfo&wait=10s&count=2", 200)
		if took := time.Since(began); took != 4*time.Second || got.Count != 2 || got.Error != "" {
			t.Errorf("after %s %+v", took, got)
		}
		late := w.requests("endpoint=token&wait=10s", 504)
		if took := time.Since(began); took != 14*time.Second || late.Error != "0 of 1 requests within 10s" {
			t.Errorf("after %s %+v", took, late)
		}
		w.requests("endpoint=userinfo&wait=0s&count=2", 200)
		synctest.Wait()
	})
	w := newWorld(t, mock.Config{})
	for _, bad := range []string{"count=2", "wait=soon", "wait=-1s", "wait=1s&count=x", "after=-1", "status=x", "colour=red"} {
		w.requests(bad, 400)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.get("/userinfo")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list, err := w.Journal().Wait(ctx, mock.Query{Endpoint: mock.Userinfo}, 2)
	if err != context.Canceled || len(list) != 1 { //nolint:errorlint // not wrapped
		t.Errorf("%d entries, %v", len(list), err)
	}
}

// stream reads the events of GET /_mock/events.
type stream struct {
	testing.TB
	lines *bufio.Scanner
}

func openStream(t *testing.T, address, lastID string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(r) // an event that does not come ends the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, ct)
	}
	s := &stream{t, bufio.NewScanner(res.Body)}
	s.next() // the comment: the stream has begun
	return s
}

// next returns the lines of the next event, or "" at the end of the stream.
func (s *stream) next() string {
	var out []string
	for s.lines.Scan() && s.lines.Text() != "" {
		out = append(out, s.lines.Text())
	}
	return strings.Join(out, "\n")
}

func TestEventsFollowTheJournal(t *testing.T) {
	w := &world{TB: t, Tenant: mock.Start(t, mock.Config{}), jar: map[string]string{}}
	w.get("/nowhere")
	events := w.Issuer() + "_mock/events"
	live := openStream(t, events, "")
	onlyToken := openStream(t, events+"?endpoint=token", "")
	w.get("/userinfo")
	w.exchange("garbage")
	w.mustControl("POST", "/_mock/clock", `{"advance":"1h"}`)
	if e := live.next(); !strings.HasPrefix(e, "id: 2\nevent: request\ndata: {\"id\":\"") || !strings.Contains(e, `"path":"/userinfo"`) {
		t.Errorf("got %s", e)
	}
	if e := live.next(); !strings.HasPrefix(e, "id: 3\n") {
		t.Errorf("got %s", e)
	}
	if e := live.next(); e != "event: change\ndata: {}" {
		t.Errorf("got %s", e)
	}
	if e := onlyToken.next(); !strings.HasPrefix(e, "id: 3\n") {
		t.Errorf("got %s", e)
	}
	for name, s := range map[string]*stream{"Last-Event-ID": openStream(t, events, "1"), "after": openStream(t, events+"?after=1", "")} {
		if first, second := s.next(), s.next(); !strings.HasPrefix(first, "id: 2\n") || !strings.HasPrefix(second, "id: 3\n") {
			t.Errorf("%s: got %s, %s", name, first, second)
		}
	}
	restarted := openStream(t, events, "4000") // of an earlier run
	if e := restarted.next(); !strings.HasPrefix(e, "id: 1\n") {
		t.Errorf("got %s", e)
	}
	w.Close()
	for e := live.next(); e != ""; e = live.next() {
		t.Errorf("after Close %s", e)
	}
	if err := live.lines.Err(); err != nil {
		t.Errorf("Close does not end the stream: %v", err)
	}
	if r := w.control("GET", "/_mock/events?colour=red", ""); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestEventsReportWhatTheJournalDropped(t *testing.T) {
	w := &world{TB: t, Tenant: mock.Start(t, mock.Config{}), jar: map[string]string{}}
	for range 10010 {
		w.get("/nowhere")
	}
	s := openStream(t, w.Issuer()+"_mock/events", "4")
	if e := s.next(); e != "event: dropped\ndata: {\"count\":6}" {
		t.Errorf("got %s", e)
	}
	if e := s.next(); !strings.HasPrefix(e, "id: 11\n") {
		t.Errorf("got %s", e)
	}
}

// failingTB keeps the failure of an assertion.
type failingTB struct{ failure string }

func (*failingTB) Helper()        {}
func (*failingTB) Cleanup(func()) {}
func (f *failingTB) Fatalf(format string, args ...any) {
	f.failure = fmt.Sprintf(format, args...)
}

func TestCallsOfATest(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.Calls("").Never(t)
	tk := w.tokens("demo")
	w.refresh("demo", tk.Refresh)
	w.exchange("garbage")
	w.Calls(mock.Token).Times(t, 3)
	w.Calls(mock.Token).Grant("refresh_token").Client("demo").Once(t)
	w.Calls(mock.Authorize).Once(t)
	w.Calls(mock.Token).Status(403).Once(t)
	w.Calls(mock.Device).Never(t)
	for want, check := range map[string]func(mock.TB){
		"mock: calls of token 403: got 1, want 2:\n" +
			"    4  12:00:00.000  POST  /oauth/token  authorization_code  demo  403  invalid_grant: the code was never issued\n      hint: ": func(tb mock.TB) {
			w.Calls(mock.Token).Status(403).Times(tb, 2)
		},
		"mock: calls of device rotating: got 0, want 1; all calls:\n    1  12:00:00.000  GET  /authorize  demo  302\n    2  ": func(tb mock.TB) {
			w.Calls(mock.Device).Client("rotating").Once(tb)
		},
		"mock: calls of authorize: got 1, want 0:\n    1  ":                        w.Calls(mock.Authorize).Never,
		"mock: calls: endpoint: \"tokn\" is not one of authorize, backchannel_log": w.Calls("tokn").Never,
	} {
		var tb failingTB
		if check(&tb); !strings.HasPrefix(tb.failure, want) {
			t.Errorf("got  %s\nwant %s", tb.failure, want)
		}
	}
	for range 10000 {
		w.get("/nowhere")
	}
	var tb failingTB
	if w.Calls(mock.Authorize).Never(&tb); !strings.Contains(tb.failure, "dropped the oldest 4") {
		t.Errorf("%s", tb.failure)
	}
}

// A client that goes ends its stream.
func TestEventsEndWithTheirClient(t *testing.T) {
	w := newWorld(t, mock.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("GET", issuer+"_mock/events?after=0", nil).WithContext(ctx))
	if rec.Code != 200 || rec.Body.String() != ": the journal of a mock tenant\n\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestHeadOfEventsEnds(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.control("HEAD", "/_mock/events", "")
	if r.status != 200 || r.body != "" || r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
}
