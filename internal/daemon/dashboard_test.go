package daemon

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/guard"
)

// browserOf is a browser with a session of the dashboard.
type browserOf struct {
	*running
	cookie, csrf string
}

// link is the link that a caller gets.
func (r *running) link(t testing.TB, key string) string {
	t.Helper()
	a := r.raw(t, "POST /v1/dashboard HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\nContent-Length: 0\n\n")
	m := regexp.MustCompile(`"url":"([^"]+)"`).FindStringSubmatch(a.body)
	if a.StatusCode != 200 || m == nil || !strings.Contains(a.body, `"expires_in":60`) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	u, err := url.Parse(m[1])
	if err != nil || u.Host != r.addr || u.Scheme != "http" {
		t.Fatalf("the link %s leads elsewhere than to %s", m[1], r.addr)
	}
	return u.RequestURI()
}

// browse opens the dashboard with a key.
func (r *running) browse(t testing.TB, key string) *browserOf {
	t.Helper()
	a := r.raw(t, get(r.link(t, key), "HOST", "\nAccept: text/html"))
	csrf := regexp.MustCompile(`data-csrf="([^"]+)"`).FindStringSubmatch(a.body)
	if a.StatusCode != 200 || csrf == nil || len(a.Cookies()) != 1 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	c := a.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge != 8*3600 {
		t.Errorf("the cookie is %s", a.Header.Get("Set-Cookie"))
	}
	return &browserOf{running: r, cookie: c.Name + "=" + c.Value, csrf: csrf[1]}
}

func (b *browserOf) get(t testing.TB, path string) answered {
	t.Helper()
	return b.raw(t, get(path, "HOST", "\nAccept: text/html\nCookie: "+b.cookie+"\nSec-Fetch-Site: same-origin\nReferer: http://HOST/"))
}

func (b *browserOf) post(t testing.TB, path, body string) answered {
	t.Helper()
	return b.raw(t, fmt.Sprintf("POST %s HTTP/1.1\nHost: HOST\nCookie: %s\nOrigin: http://HOST\n%s: %s\nContent-Length: %d\n\n%s", path, b.cookie, guard.CSRFHeader, b.csrf, len(body), body))
}

func TestDashboard_WithoutASession(t *testing.T) {
	d := start(t, Config{Clients: []Client{kept(t, newTenant(t), "demo")}})
	for _, tt := range []struct{ path, headers, contentType, contains string }{
		{"/", "\nAccept: text/html,*/*", "text/html", "<code>tokend dashboard</code>"},
		{"/", "\nAccept: text/html" + auth, "text/html", "<code>tokend dashboard</code>"},
		{"/", "\nAccept: application/json", "application/json", `"error":"unauthorized"`},
		{"/", "", "application/json", `"error":"unauthorized"`},
		{"/dashboard", "\nAccept: text/html", "text/html", "<code>tokend dashboard</code>"},
		{"/dashboard", "", "application/json", `"hint":"run tokend dashboard, which opens one"`},
		{"/dashboard/audit", "\nAccept: text/html", "text/html", "<code>tokend dashboard</code>"},
		{"/dashboard/open?link=x", "\nAccept: text/html", "text/html", "older than a minute"},
		{"/dashboard/open", "", "application/json", `"error":"unauthorized"`},
		{"/dashboard/events", "", "application/json", `"error":"unauthorized"`},
	} {
		a := d.raw(t, get(tt.path, "HOST", tt.headers))
		if a.StatusCode != 401 || !strings.HasPrefix(a.Header.Get("Content-Type"), tt.contentType) || !strings.Contains(a.body, tt.contains) ||
			a.Header.Get("WWW-Authenticate") == "" || strings.Contains(a.body, "demo") || a.Header.Get(errorHeader) != "unauthorized" {
			t.Errorf("%s%s: %d %v\n%s", tt.path, tt.headers, a.StatusCode, a.Header, a.body)
		}
	}
}

func TestDashboard_PagesOfASession(t *testing.T) {
	f := newTenant(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail, err := audit.Open(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	settings := func() ([]Setting, error) { return []Setting{{Name: "store", Value: "sqlite", Source: "default"}}, nil }
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}, Audit: trail, Store: "sqlite:/x", Settings: settings})
	d.call(t, "GET", tokenPath, "")
	all, ci := d.browse(t, mainKey), d.browse(t, ciKey)
	for _, tt := range []struct {
		of            *browserOf
		path          string
		status        int
		has, lacks    string
		description   string
		configuration bool
	}{
		{of: all, path: "/", status: 200, has: `id="c-demo"`},
		{of: ci, path: "/", status: 200, has: `id="c-ci"`, lacks: "demo"},
		{of: all, path: "/dashboard", status: 303, has: "The dashboard is at /"},
		{of: all, path: "/dashboard/clients/demo", status: 200, has: "<h1>demo "},
		{of: ci, path: "/dashboard/clients/demo", status: 403, has: "may not use this client"},
		{of: all, path: "/dashboard/clients/dem", status: 404, has: "did you mean demo?"},
		{of: all, path: "/dashboard/audit", status: 200, has: "<b>token</b>"},
		{of: all, path: "/dashboard/audit?client=ci", status: 200, has: "No entry"},
		{of: ci, path: "/dashboard/audit", status: 200, has: "No entry", lacks: "demo"},
		{of: all, path: "/dashboard/configuration", status: 200, has: "sqlite"},
		{of: all, path: "/dashboard/configuration?q=listen", status: 200, has: "No setting matches", lacks: "sqlite"},
		{of: ci, path: "/dashboard/configuration", status: 403, has: "Not for this session", lacks: "sqlite"},
	} {
		a := tt.of.get(t, tt.path)
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.has) || tt.lacks != "" && strings.Contains(a.body, tt.lacks) {
			t.Errorf("%s: %d, has %q, lacks %q\n%s", tt.path, a.StatusCode, tt.has, tt.lacks, a.body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", tt.path, name, got)
			}
		}
		if !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no policy", tt.path)
		}
		noCanary(t, tt.path, a.body)
		if strings.Contains(a.body, all.csrf) || strings.Contains(a.body, ci.csrf) {
			t.Errorf("%s has a CSRF token", tt.path)
		}
	}
	if a := d.raw(t, get("/v1/clients", "HOST", "\nCookie: "+all.cookie)); a.StatusCode != 401 {
		t.Errorf("the API accepts the cookie: %d", a.StatusCode)
	}
	noCanary(t, "log", d.log.String())
}

// TestDashboard_TimelineHasWhatWasBefore: of the audit log and the store, also after a
// restart of the service.
func TestDashboard_TimelineHasWhatWasBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	before := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	var lines string
	for _, line := range []string{
		`"action":"login","caller":"ada","client":"demo","status":200`,
		`"action":"refresh","caller":"bob","client":"demo","status":503,"error":"idp_timeout"`,
		`"action":"callback","client":"demo","status":400,"error":"invalid_state"`,
		`"action":"refresh","caller":"eve","client":"ci","status":200`,
		`"action":"token","caller":"job","client":"demo","status":200`,
	} {
		lines += `{"time":"` + before + `",` + line + "}\n"
	}
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), kept(t, f, "ci")}, Audit: trail})
	d.call(t, "GET", tokenPath, "")
	page := d.browse(t, mainKey).get(t, "/dashboard/clients/demo").body
	for _, want := range []string{"<b>Login requested</b> <span>by ada</span>", "<b>Refresh requested</b> <span>by bob: idp_timeout</span>", "<b>Logged in</b> <span>invalid_state</span>", "<b>Logged in</b></li>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	for _, not := range []string{"by eve", "by job"} { // of another client, and no action
		if strings.Contains(page, not) {
			t.Errorf("the page has %s:\n%s", not, page)
		}
	}
}

func TestDashboard_Acts(t *testing.T) {
	f := newTenant(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail, err := audit.Open(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	d := start(t, Config{Clients: []Client{kept(t, f, "demo"), person(t, f, "web")}, Audit: trail})
	b := d.browse(t, mainKey)
	if a := b.post(t, "/dashboard/clients/demo/token", ""); a.StatusCode != 200 || !strings.Contains(a.body, canaryToken) {
		t.Errorf("token: %d %s", a.StatusCode, a.body)
	}
	if a := b.post(t, "/dashboard/clients/web/login", ""); a.StatusCode != 200 || !strings.Contains(a.body, `"authorize_url":"`) {
		t.Errorf("login: %d %s", a.StatusCode, a.body)
	}
	if a := b.post(t, "/dashboard/clients/demo/refresh", ""); a.StatusCode != 200 {
		t.Errorf("refresh: %d %s", a.StatusCode, a.body)
	}
	if a := b.get(t, "/dashboard/clients/demo/token"); a.StatusCode != 405 && a.StatusCode != 401 && a.StatusCode != 403 {
		t.Errorf("a token by GET: %d %s", a.StatusCode, a.body)
	}
	without := *b
	without.csrf = ""
	if a := without.post(t, "/dashboard/clients/demo/token", ""); a.StatusCode != 403 || a.error(t) != "forbidden_csrf" {
		t.Errorf("without the CSRF token: %d %s", a.StatusCode, a.body)
	}
	lines, err := trail.Tail()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, regexp.MustCompile(`"action":"([a-z]+)","caller":"([^"]+)"`).FindString(string(l)))
	}
	if want := `"action":"dashboard","caller":"main" "action":"token","caller":"dashboard:main" "action":"login","caller":"dashboard:main" "action":"refresh","caller":"dashboard:main"`; strings.Join(got, " ") != want {
		t.Errorf("the audit log has %q", got)
	}
	if a := b.post(t, "/dashboard/close", ""); a.StatusCode != 200 || a.Cookies()[0].MaxAge >= 0 {
		t.Errorf("close: %d %v", a.StatusCode, a.Header)
	}
	if a := b.get(t, "/"); a.StatusCode != 401 || !strings.Contains(a.body, "has ended") {
		t.Errorf("a closed session: %d %s", a.StatusCode, a.body)
	}
}

// A session has no more rights than the caller who opened it.
func TestDashboard_ReaderOnlyReads(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}, Keys: []Key{{Name: "reader", Secret: ciKey, ReadOnly: true, Audiences: []string{"other"}}}})
	b := d.browse(t, ciKey)
	for what, want := range map[string]string{
		"login": "manage_forbidden", "code": "manage_forbidden", "refresh": "manage_forbidden", "resume": "manage_forbidden", "logout": "manage_forbidden",
		"token": "audience_forbidden",
	} {
		if a := b.post(t, "/dashboard/clients/demo/"+what, ""); a.StatusCode != 403 || a.error(t) != want {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	if a := b.get(t, "/dashboard/configuration"); a.StatusCode != 403 {
		t.Errorf("configuration: %d", a.StatusCode)
	}
}

// The log has neither the link nor what opens it.
func TestDashboard_LinkWorksOnceAndStaysOutOfTheLog(t *testing.T) {
	d := start(t, Config{})
	link := d.link(t, mainKey)
	head := strings.Replace(get(link, "HOST", "\nAccept: text/html"), "GET ", "HEAD ", 1)
	if a := d.raw(t, head); a.StatusCode != 200 || len(a.Cookies()) > 0 {
		t.Fatalf("HEAD: %d %v", a.StatusCode, a.Cookies())
	}
	if a := d.raw(t, get(link, "HOST", "\nAccept: text/html")); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := d.raw(t, get(link, "HOST", "\nAccept: text/html")); a.StatusCode != 401 || !strings.Contains(a.body, "used before") || len(a.Cookies()) > 0 {
		t.Errorf("used twice: %d %s", a.StatusCode, a.body)
	}
	if a := d.raw(t, get(d.link(t, mainKey), "HOST", "\nAccept: text/html\nSec-Fetch-Site: cross-site")); a.StatusCode != 403 || len(a.Cookies()) > 0 {
		t.Errorf("from another site: %d", a.StatusCode)
	}
	_, secret, _ := strings.Cut(link, "=")
	if strings.Contains(d.log.String(), secret) {
		t.Error("the log has the link")
	}
}

func TestDashboard_NeedsATCPListener(t *testing.T) {
	d, err := New(Config{Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		t.Fatal(err)
	}
	d.noteListeners(nil)
	w := &recorded{h: http.Header{}}
	r := benchRequest()
	r.Method, r.URL.Path = "POST", "/v1/dashboard"
	d.handler.ServeHTTP(w, r)
	if w.status != 409 || !strings.Contains(string(w.body), "TOKEND_LISTEN") {
		t.Errorf("%d %s", w.status, w.body)
	}
}

// recorded is an answer.
type recorded struct {
	h      http.Header
	status int
	body   []byte
}

func (r *recorded) Header() http.Header         { return r.h }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }

// The list of 1,000 clients of a running service.
func BenchmarkDashboard(b *testing.B) {
	f := newTenant(b)
	var clients []Client
	for i := range 1000 {
		clients = append(clients, person(b, f, fmt.Sprintf("client-%d", i)))
	}
	d, err := New(Config{Clients: clients, Keys: []Key{{Name: "main", Secret: mainKey}}})
	if err != nil {
		b.Fatal(err)
	}
	g := d.active.Load().guard
	caller, refusal := g.Admit(benchRequest(), guard.NeedsKey, "")
	if refusal != nil {
		b.Fatal(refusal)
	}
	secret, _ := g.Link(caller)
	opened, refusal := g.Open(secret)
	if refusal != nil {
		b.Fatal(refusal)
	}
	r := benchRequest()
	r.URL.Path = "/"
	r.RequestURI = "/"
	r.Header = http.Header{"Accept": {"text/html"}, "Cookie": {guard.CookieName(r.Host) + "=" + opened.Cookie}}
	for b.Loop() {
		w := &recorded{h: http.Header{}}
		if d.handler.ServeHTTP(w, r); w.status != 200 {
			b.Fatalf("%d %s", w.status, w.body)
		}
	}
}
