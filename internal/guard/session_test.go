package guard

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// dashboardGuard has a caller with all rights, one that reads one client, and a clock.
type dashboardGuard struct {
	*Guard
	now    time.Time
	config []Key
	t      *testing.T
}

var sessionStart = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func newDashboardGuard(t *testing.T, key []byte) *dashboardGuard {
	t.Helper()
	d := &dashboardGuard{now: sessionStart, t: t, config: []Key{
		{Name: "main", Secret: secret("main-key")},
		{Name: "ci", Secret: secret("ci-key"), Clients: []string{"ci"}, ReadOnly: true, Expires: sessionStart.Add(2 * time.Hour)},
	}}
	d.reload(NewSessions(key, nil, func() time.Time { return d.now }))
	return d
}

func (d *dashboardGuard) reload(s *Sessions) {
	d.t.Helper()
	var err error
	if d.Guard, err = New(Config{Keys: d.config, Sessions: s, Now: func() time.Time { return d.now }}); err != nil {
		d.t.Fatal(err)
	}
}

// opened opens a session of a caller.
func (d *dashboardGuard) opened(key string) *Opened {
	d.t.Helper()
	link, _ := d.Link(d.callerOf(key))
	o, f := d.Open(link)
	if f != nil {
		d.t.Fatal(f)
	}
	return o
}

func (d *dashboardGuard) callerOf(key string) *Caller {
	d.t.Helper()
	c := d.Guard.keys.caller(key)
	if c == nil {
		d.t.Fatal("no caller has this key")
	}
	return c
}

// page is a request of the dashboard's own page.
func page(method string, o *Opened, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI, r.Host = "/", "127.0.0.1:8484"
	if o != nil {
		r.AddCookie(&http.Cookie{Name: "tokend-8484", Value: o.Cookie})
	}
	if method == http.MethodPost {
		r.Header.Set("Origin", "http://127.0.0.1:8484")
		if o != nil {
			r.Header.Set(CSRFHeader, o.CSRF)
		}
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8484})))
}

func TestSession_ActsAsItsCaller(t *testing.T) {
	d := newDashboardGuard(t, nil)
	all, ci := d.opened("main-key"), d.opened("ci-key")
	for _, tt := range []struct {
		name   string
		of     *Opened
		need   Access
		client string
		want   string // code of the refusal
	}{
		{"manages", all, ActsAndManages, "demo", ""},
		{"reads its client", ci, Session, "ci", ""},
		{"gets a token of its client", ci, Acts, "ci", ""},
		{"reads no other", ci, Session, "demo", "client_forbidden"},
		{"manages nothing", ci, ActsAndManages, "ci", "manage_forbidden"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method := http.MethodGet
			if tt.need != Session {
				method = http.MethodPost
			}
			c, f := d.Admit(page(method, tt.of), tt.need, tt.client)
			if got := codeOf(f); got != tt.want || tt.want == "" && !strings.HasPrefix(c.Name, "dashboard:") {
				t.Errorf("%q of %q, want %q", got, c.Name, tt.want)
			}
		})
	}
}

func TestSession_RefusesRequestsOfOthers(t *testing.T) {
	d := newDashboardGuard(t, nil)
	o, other := d.opened("main-key"), d.opened("main-key")
	for _, tt := range []struct {
		name, method string
		of           *Opened
		headers      []string
		want         string
	}{
		{"no cookie", "GET", nil, nil, "unauthorized"},
		{"another cookie", "GET", &Opened{Cookie: strings.Repeat("A", 96)}, nil, "unauthorized"},
		{"an API key", "GET", nil, []string{"Authorization", "Bearer main-key"}, "unauthorized"},
		{"a cookie of another port", "GET", nil, []string{"Cookie", "tokend-9999=" + o.Cookie}, "unauthorized"},
		{"another origin reads", "GET", o, []string{"Origin", "http://127.0.0.1:3000"}, "forbidden_origin"},
		{"another port of the host", "POST", o, []string{"Origin", "http://127.0.0.1:3000"}, "forbidden_origin"},
		{"another name of the host", "POST", o, []string{"Origin", "http://localhost:8484"}, "forbidden_origin"},
		{"an opaque origin", "POST", o, []string{"Origin", "null"}, "forbidden_origin"},
		{"no origin", "POST", o, []string{"Origin", ""}, "forbidden_origin"},
		{"a page on another port", "GET", o, []string{"Referer", "http://127.0.0.1:3000/"}, "forbidden_referer"},
		{"a host that begins likewise", "GET", o, []string{"Referer", "http://127.0.0.1:84840/"}, "forbidden_referer"},
		{"another site", "GET", o, []string{"Sec-Fetch-Site", "cross-site"}, "forbidden_sec_fetch_site"},
		{"another port, says the browser", "GET", o, []string{"Sec-Fetch-Site", "same-site"}, "forbidden_sec_fetch_site"},
		{"a proxy", "GET", o, []string{"Via", "1.1 x"}, "forbidden_forwarded"},
		{"no CSRF token", "POST", o, []string{CSRFHeader, ""}, "forbidden_csrf"},
		{"the CSRF token of another session", "POST", o, []string{CSRFHeader, other.CSRF}, "forbidden_csrf"},
		{"its own", "POST", o, []string{"Sec-Fetch-Site", "same-origin", "Referer", "http://127.0.0.1:8484/dashboard/audit"}, ""},
		{"its own page", "GET", o, []string{"Sec-Fetch-Site", "none"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			need := Session
			if tt.method == "POST" {
				need = Acts
			}
			c, f := d.Admit(page(tt.method, tt.of, tt.headers...), need, "")
			if got := codeOf(f); got != tt.want || f != nil && c.Name != "" {
				t.Errorf("%q by %q, want %q", got, c.Name, tt.want)
			}
		})
	}
	r := page("GET", o)
	r.Host = "evil.example:8484"
	if _, f := d.Admit(r, Session, ""); codeOf(f) != "forbidden_host" {
		t.Errorf("rebinding: %v", f)
	}
	if _, f := d.Admit(page("OPTIONS", o), OwnPage, ""); codeOf(f) != "forbidden_preflight" {
		t.Errorf("preflight: %v", f)
	}
}

// The routes of the API accept no session.
func TestSession_IsForTheDashboardAlone(t *testing.T) {
	d := newDashboardGuard(t, nil)
	o := d.opened("main-key")
	for _, need := range []Access{NeedsKey, Manages, Proxied} {
		if _, f := d.Admit(page("GET", o), need, ""); codeOf(f) != "unauthorized" {
			t.Errorf("%v: %v", need, f)
		}
		if _, f := d.Admit(page("POST", o), need, ""); codeOf(f) != "forbidden_origin" {
			t.Errorf("%v: %v", need, f)
		}
	}
}

func TestLink_WorksOnceWithinAMinute(t *testing.T) {
	d := newDashboardGuard(t, nil)
	once, expires := d.Link(d.callerOf("main-key"))
	if !expires.Equal(sessionStart.Add(time.Minute)) {
		t.Errorf("expires %v", expires)
	}
	if _, f := d.Open(once); f != nil {
		t.Fatal(f)
	}
	if _, f := d.Open(once); codeOf(f) != "unauthorized" || !strings.Contains(f.Description, "used before") {
		t.Errorf("used twice: %v", f)
	}
	late, _ := d.Link(d.callerOf("main-key"))
	d.now = sessionStart.Add(time.Minute)
	for name, link := range map[string]string{"late": late, "unknown": "x", "none": ""} {
		if _, f := d.Open(link); codeOf(f) != "unauthorized" {
			t.Errorf("%s: %v", name, f)
		}
	}
	first, _ := d.Link(d.callerOf("main-key"))
	for range maxLinks {
		d.now = d.now.Add(time.Millisecond)
		d.Link(d.callerOf("main-key"))
	}
	if _, f := d.Open(first); f == nil {
		t.Error("links are not bounded")
	}
}

func TestSession_Ends(t *testing.T) {
	admitted := func(d *dashboardGuard, o *Opened) string {
		_, f := d.Admit(page("GET", o), Session, "")
		return codeOf(f)
	}
	for _, tt := range []struct {
		name string
		key  string
		do   func(d *dashboardGuard, o *Opened)
		want string
	}{
		{"not by itself", "main-key", func(d *dashboardGuard, _ *Opened) { d.now = sessionStart.Add(sessionLifetime - time.Second) }, ""},
		{"after eight hours", "main-key", func(d *dashboardGuard, _ *Opened) { d.now = sessionStart.Add(sessionLifetime) }, "unauthorized"},
		{"when it is closed", "main-key", func(d *dashboardGuard, o *Opened) {
			c, _ := d.Admit(page("GET", o), Session, "")
			d.End(c)
			if d.Alive(c) {
				t.Error("a stream of it would go on")
			}
		}, "unauthorized"},
		{"when the key expires", "ci-key", func(d *dashboardGuard, _ *Opened) { d.now = sessionStart.Add(2 * time.Hour) }, "unauthorized"},
		{"when the key is revoked", "ci-key", func(d *dashboardGuard, _ *Opened) {
			d.config = d.config[:1]
			d.reload(d.sessions)
		}, "unauthorized"},
		{"when the key is another one", "main-key", func(d *dashboardGuard, _ *Opened) {
			d.config[0].Secret = secret("another")
			d.reload(d.sessions)
		}, "unauthorized"},
		{"not by a reload", "main-key", func(d *dashboardGuard, _ *Opened) { d.reload(d.sessions) }, ""},
		{"when there are too many", "main-key", func(d *dashboardGuard, _ *Opened) {
			for range maxSessions {
				d.now = d.now.Add(time.Second)
				d.opened("main-key")
			}
		}, "unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDashboardGuard(t, nil)
			o := d.opened(tt.key)
			if got := admitted(d, o); got != "" {
				t.Fatal(got)
			}
			tt.do(d, o)
			if got := admitted(d, o); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestSession_OfATokenEndsWithIt: the session of a caller that a token of an issuer has
// identified ends when the token expires, also after a restart.
func TestSession_OfATokenEndsWithIt(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	start := func() *dashboardGuard {
		d := newDashboardGuard(t, key)
		d.config = append(d.config, Key{Name: "job", Clients: []string{"ci"}, Tokens: []TokenRule{
			{Issuer: actions, Audience: "tokend", Subject: "repo:acme/app", Verifier: &tokens{}},
		}})
		d.reload(d.sessions)
		return d
	}
	d := start()
	link := func(lifetime time.Duration) string {
		c, f := d.ofToken(t.Context(), signedUntil(d.now.Add(lifetime)))
		if f != nil {
			t.Fatal(f)
		}
		secret, _ := d.Link(c)
		return secret
	}
	o, f := d.Open(link(10 * time.Minute))
	if f != nil || o.Lifetime != 10*time.Minute {
		t.Fatalf("%+v %v", o, f)
	}
	for _, at := range []struct {
		after time.Duration
		want  string
	}{{10*time.Minute - time.Second, ""}, {10 * time.Minute, "unauthorized"}} {
		for name, g := range map[string]*dashboardGuard{"this process": d, "after a restart": start()} {
			g.now = sessionStart.Add(at.after)
			if _, f := g.Admit(page("GET", o), Session, ""); codeOf(f) != at.want {
				t.Errorf("%s, after %s: %q, want %q", name, at.after, codeOf(f), at.want)
			}
		}
	}
	if o, f := d.Open(link(24 * time.Hour)); f != nil || o.Lifetime != sessionLifetime {
		t.Errorf("with a token that lives longer: %+v %v", o, f)
	}
	if _, f := d.Open(link(-time.Second)); codeOf(f) != "unauthorized" {
		t.Errorf("with a token that expired within the clock skew: %v", f)
	}
}

func TestSession_SurvivesARestart(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	o := newDashboardGuard(t, key).opened("main-key")
	if _, f := newDashboardGuard(t, key).Admit(page("POST", o), Acts, ""); f != nil {
		t.Errorf("with the same key: %v", f)
	}
	if _, f := newDashboardGuard(t, nil).Admit(page("POST", o), Acts, ""); codeOf(f) != "unauthorized" {
		t.Errorf("with another key: %v", f)
	}
}

// A session has the rate of its caller, not one of its own.
func TestSession_SharesTheRateOfItsCaller(t *testing.T) {
	d := newDashboardGuard(t, nil)
	d.config[0].Rate = 1
	d.reload(d.sessions)
	o := d.opened("main-key")
	if _, f := d.Admit(page("GET", o), Session, ""); f != nil {
		t.Fatal(f)
	}
	if _, f := d.Admit(page("GET", o), Session, ""); codeOf(f) != "caller_rate_limited" {
		t.Errorf("%v", f)
	}
}
