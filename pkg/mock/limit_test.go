package mock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// limitHeaders asserts the recorded headers.
func (r reply) limitHeaders(limit, remaining int, reset time.Time) {
	r.Helper()
	got := fmt.Sprint(r.header.Get("X-RateLimit-Limit"), r.header.Get("X-RateLimit-Remaining"), r.header.Get("X-RateLimit-Reset"))
	if want := fmt.Sprint(limit, remaining, reset.Unix()); got != fmt.Sprint(fmt.Sprint(limit), fmt.Sprint(remaining), fmt.Sprint(reset.Unix())) {
		r.Errorf("%d: limit, remaining, reset: %s, want %s", r.status, got, want)
	}
}

func (w *world) machine() reply { w.Helper(); return w.do(formRequest("/oauth/token", ccForm())) }

// A bucket of three fills in 30 seconds of the tenant's clock.
func TestRateLimit_BucketFollowsTheClock(t *testing.T) {
	w := newWorld(t, mock.Config{})
	a := fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultRateLimit, Limit: 3, Per: "30s"})
	for i := range 3 {
		r := w.machine()
		r.tokens()
		r.limitHeaders(3, 2-i, start.Add(time.Duration(10*(i+1))*time.Second))
	}
	refused := func() {
		t.Helper()
		r := w.machine()
		r.refused(429, "too_many_requests", "Global limit has been reached")
		r.limitHeaders(3, 0, start.Add(30*time.Second))
		if got := r.header.Get("Retry-After"); got != "" { // Auth0 promises none
			t.Errorf("Retry-After %q", got)
		}
	}
	refused()
	w.Advance(9 * time.Second)
	refused()
	w.Advance(time.Second)
	w.machine().tokens()
	if w.machine().status != 429 || a.Count() != 3 {
		t.Errorf("refused %d calls", a.Count())
	}
	w.Advance(time.Hour)
	w.machine().limitHeaders(3, 2, w.Now().Add(10*time.Second)) // not more than full
	if e := w.Journal().Find(mock.Query{Status: 429})[0]; e.Reason != "fault: rate_limit" || e.ClientID != "demo" {
		t.Errorf("%+v", e)
	}
	w.Advance(-2 * time.Hour)
	w.machine().limitHeaders(3, 1, w.Now().Add(20*time.Second)) // a clock that goes back fills nothing
}

func TestRateLimit_RecordedLimits(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo")
	for endpoint, want := range map[string]int{"token": 30, "userinfo": 1000, "authorize": 300} {
		fail(t, w.Tenant, mock.Fault{Endpoint: endpoint, Kind: mock.FaultRateLimit})
		r := w.machine()
		switch endpoint {
		case "userinfo":
			r = w.userinfo(tk.Access)
		case "authorize":
			r = w.authorize()
		}
		r.limitHeaders(want, want-1, w.Now().Add(time.Minute/time.Duration(want)+time.Second-1))
	}
	w.refresh("demo", tk.Refresh).limitHeaders(100, 99, w.Now().Add(time.Second))
	fail(t, w.Tenant, mock.Fault{Endpoint: "authorize", Kind: mock.FaultRateLimit, Limit: 1})
	w.authorize()
	w.authorize().page(429, "too_many_requests", "") // never JSON
}

// The policy of a client counts each client alone, and X-RateLimit-* are the tenant's.
func TestRateLimit_OfAClient(t *testing.T) {
	w := newWorld(t, mock.Config{})
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultRateLimit, Policy: "client", Limit: 2, Per: "20s"})
	w.machine().limitHeaders(30, 29, start.Add(time.Second))
	w.machine().tokens()
	w.Advance(time.Second)
	r := w.machine()
	r.refused(429, "too_many_requests", "Rate limit exceeded.")
	if r.header.Get("Retry-After") != "9" || r.header.Get("Auth0-RateLimit") != "client;q=2;t=9;r=0" || r.header.Get("X-RateLimit-Limit") != "30" {
		t.Errorf("%v", r.header)
	}
	w.tokens("rotating") // another client
	w.Advance(9 * time.Second)
	w.machine().tokens()
}

// A window that is shorter than the limit's parts does not divide by zero.
func TestRateLimit_ShortWindow(t *testing.T) {
	w := newWorld(t, mock.Config{})
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultRateLimit, Per: "1ns"})
	w.machine().tokens()
}

func TestRateLimit_Fields(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for body, field := range map[string]string{
		`{"endpoint":"token","kind":"rate_limit","limit":-1}`:                        "limit",
		`{"endpoint":"token","kind":"rate_limit","per":"soon"}`:                      "per",
		`{"endpoint":"token","kind":"rate_limit","limit":2,"per":"1ns"}`:             "limit",
		`{"endpoint":"token","kind":"rate_limit","after_commit":true}`:               "after_commit",
		`{"endpoint":"token","kind":"token","defect":"expired","after_commit":true}`: "after_commit",
		`{"endpoint":"token","kind":"status","status":500,"limit":1}`:                "limit",
		`{"endpoint":"token","kind":"status","status":500,"per":"1s"}`:               "per",
		`{"endpoint":"token","kind":"status","status":500,"defect":"expired"}`:       "defect",
		`{"endpoint":"userinfo","kind":"token","defect":"expired"}`:                  "endpoint",
		`{"endpoint":"token","kind":"token","defect":"ugly"}`:                        "defect",
		`{"endpoint":"token","kind":"token"}`:                                        "defect",
		`{"endpoint":"authorize","kind":"token","defect":"no_expires_in"}`:           "defect",
		`{"endpoint":"token","kind":"token","defect":"missing_claim"}`:               "claim",
		`{"endpoint":"token","kind":"token","defect":"expired","claim":"sub"}`:       "claim",
		`{"endpoint":"token","kind":"token","defect":"expired","token":"other"}`:     "token",
		`{"profile":"bad day"}`:                   `profile: \"bad day\" is not one of flaky, outage, rate-limited, rotation-lost`,
		`{"profile":"flaky","endpoint":"token"}`:  "profile",
		`{"profile":"flaky","kind":"hang"}`:       "profile",
		`{"profile":"flaky","rate":2}`:            "rate",
		`{"endpoint":"token","kind":"confusing"}`: "not one of [status body garbage html empty redirect delay",
	} {
		w.controlRefuses("/_mock/faults", body, field)
	}
	if n := len(w.Faults()); n != 0 {
		t.Errorf("%d faults are armed", n)
	}
	if _, err := mock.New(mock.Config{Faults: []mock.Fault{{Profile: "x"}, {Kind: "y"}}}); err == nil {
		t.Error("no error")
	}
}

func (w *world) controlRefuses(path, body, want string) {
	w.Helper()
	if r := w.control("POST", path, body); r.status != 400 || !strings.Contains(r.body, want) {
		w.Errorf("%s: %d %s lacks %s", body, r.status, r.body, want)
	}
}
