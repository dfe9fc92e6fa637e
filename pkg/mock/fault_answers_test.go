package mock_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/tokend/pkg/mock"
)

func TestFault_AnswersThatAreNotTheTenants(t *testing.T) {
	w := newWorld(t, mock.Config{})
	arm := func(f mock.Fault) reply {
		t.Helper()
		f.Endpoint, f.Times = "token", 1
		fail(t, w.Tenant, f)
		return w.machine()
	}
	garbage := arm(mock.Fault{Kind: mock.FaultGarbage})
	if garbage.status != 200 || len(garbage.body) != 256 || utf8.ValidString(garbage.body) || garbage.header.Get("Content-Type") != "application/json" {
		t.Errorf("garbage: %d %q", garbage.status, garbage.body)
	}
	if again := arm(mock.Fault{Kind: mock.FaultGarbage}); again.body != garbage.body {
		t.Error("the same seed makes other garbage")
	}
	if other := arm(mock.Fault{Kind: mock.FaultGarbage, Seed: 1, Status: 502}); other.body == garbage.body || other.status != 502 {
		t.Errorf("another seed: %d, or the same garbage", other.status)
	}
	if r := arm(mock.Fault{Kind: mock.FaultHTML}); r.status != 200 || !strings.HasPrefix(r.body, "<!DOCTYPE html>") || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("html: %d %s", r.status, r.body)
	}
	if r := arm(mock.Fault{Kind: mock.FaultEmpty}); r.status != 200 || r.body != "" || r.header.Get("Content-Length") != "0" {
		t.Errorf("empty: %d %q", r.status, r.body)
	}
	if r := arm(mock.Fault{Kind: mock.FaultHTML, Headers: map[string]string{"Content-Type": "application/json"}}); r.header.Get("Content-Type") != "application/json" {
		t.Errorf("html with a type: %v", r.header)
	}
	w.machine().tokens()
}

// Auth0 reports its global limit as 500 access_denied at /oauth/token, and as 429
// elsewhere.
func TestFault_GlobalLimit(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, endpoint := range []string{"token", "revoke", "authorize"} {
		fail(t, w.Tenant, mock.Fault{Endpoint: endpoint, Kind: mock.FaultGlobalLimit})
	}
	r := w.machine()
	r.refused(500, "access_denied", "Global limit has been reached")
	r.limitHeaders(30, 0, start.Add(1e9))
	r = w.post("/oauth/revoke")
	r.refused(429, "too_many_requests", "Global limit has been reached")
	r.limitHeaders(100, 0, start.Add(1e9))
	w.authorize().page(429, "too_many_requests", "Global limit has been reached")
	for _, e := range w.Journal().Find(mock.Query{}) {
		if e.Reason != "fault: global_limit" {
			t.Errorf("%+v", e)
		}
	}
}

func TestFaultProfiles(t *testing.T) {
	w := newWorld(t, mock.Config{})
	outage := fail(t, w.Tenant, mock.Fault{Profile: "outage"})
	if w.machine().status != 503 || w.get("/.well-known/jwks.json").status != 503 || w.authorize().status != 503 || outage.Count() != 3 {
		t.Errorf("outage: %d hits", outage.Count())
	}
	outage.Disarm()
	tk := w.tokens("abrupt")

	limited := fail(t, w.Tenant, mock.Fault{Profile: "rate-limited", ClientID: "demo"})
	for range 5 {
		w.machine().tokens()
	}
	w.machine().refused(429, "too_many_requests", "Global limit has been reached")
	if w.Advance(2e9); w.machine().status != 200 || limited.Count() != 1 { // a fifth of ten seconds
		t.Errorf("rate-limited: %d hits", limited.Count())
	}
	w.tokens("rotating") // another client
	w.Disarm()

	w.mustControl("POST", "/_mock/faults", `{"profile":"rotation-lost"}`)
	lost := func() (lost bool) {
		defer func() { lost = recover() != nil }() // the recorder has no connection to reset
		w.refresh("abrupt", tk.Refresh)
		return
	}
	if !lost() {
		t.Error("rotation-lost: the answer arrives")
	}
	w.refresh("abrupt", tk.Refresh).refused(403, "invalid_grant", badRefresh)
	if f := w.Families()[0]; f.Generation != 2 || !strings.Contains(f.Revoked, "ferrt") {
		t.Errorf("rotation-lost: %+v", f)
	}
	var list struct {
		Faults []struct {
			Profile, Endpoint, Kind string
			Hits                    int
			Armed                   bool
		}
	}
	if err := json.Unmarshal([]byte(w.mustControl("GET", "/_mock/faults", "").body), &list); err != nil ||
		fmt.Sprint(list.Faults) != "[{rotation-lost token reset 1 false}]" {
		t.Errorf("%+v, %v", list.Faults, err)
	}
}

// A profile is the same with the same seed.
func TestFaultProfiles_FlakyIsRepeatable(t *testing.T) {
	run := func(f mock.Fault) string {
		w := newWorld(t, mock.Config{Faults: []mock.Fault{f}})
		var b strings.Builder
		for range 100 {
			switch w.get("/.well-known/jwks.json").status {
			case 200:
				b.WriteByte('.')
			case 503:
				b.WriteByte('x')
			}
		}
		return b.String()
	}
	one, again, two := run(mock.Fault{Profile: "flaky"}), run(mock.Fault{Profile: "flaky"}), run(mock.Fault{Profile: "flaky", Seed: 7})
	if n := strings.Count(one, "x"); one != again || one == two || n < 2 || n > 30 || len(one) != 100 {
		t.Errorf("%s\n%s\n%s", one, again, two)
	}
	if n := strings.Count(run(mock.Fault{Profile: "flaky", Rate: 0.9}), "x"); n < 70 {
		t.Errorf("with a rate of 0.9: %d of 100", n)
	}
	if n := strings.Count(run(mock.Fault{Profile: "flaky", Rate: 0.9, Times: 1}), "x"); n != 1 {
		t.Errorf("once: %d", n)
	}
}

// The faults of the Config are armed at the start, and again after a reset.
func TestFaults_OfTheConfig(t *testing.T) {
	w := newWorld(t, mock.Config{Faults: []mock.Fault{{Endpoint: "token", Kind: mock.FaultStatus, Status: 503, Times: 1}}})
	for range 2 {
		if first, second := w.machine().status, w.machine().status; first != 503 || second != 200 {
			t.Errorf("%d, %d", first, second)
		}
		w.Reset()
	}
}
