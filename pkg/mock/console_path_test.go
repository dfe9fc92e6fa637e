package mock_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

const (
	origin    = "http://localhost:8400"
	belowPath = origin + "/a/" // an issuer with a path
)

// newWorldBelow is a tenant below a path that has something of each kind to show.
func newWorldBelow(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, mock.Config{Issuer: belowPath})
	for _, link := range loginLink.FindAllStringSubmatch(w.open(belowPath+"_mock/console/clients").body, -1)[:1] {
		w.open(w.at("GET", html.UnescapeString(link[1])).header.Get("Location")).has("Logged in")
	}
	w.at("POST", belowPath+"dbconnections/change_password", "client_id", "demo", "email", agent, "connection", "Username-Password-Authentication")
	fail(t, w.Tenant, mock.Fault{Endpoint: "userinfo", Kind: mock.FaultReset})
	return w
}

// open gets a page as a browser does.
func (w *world) open(address string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Header.Set("Accept", "text/html")
	return w.do(r)
}

// submitFrom sends a form as a page of an origin does, or without one as a program.
func (w *world) submitFrom(origin, address string, params ...string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(pairs(params...).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return w.do(r)
}

var addressAttribute = regexp.MustCompile(` (href|src|action|data-events)="([^"]*)"`)

// A proxy, or a process with several tenants, serves a tenant below a path only.
func TestConsoleStaysBelowThePathOfTheIssuer(t *testing.T) {
	w := newWorldBelow(t)
	code := w.at("GET", belowPath+"authorize?"+strings.SplitN(authorizeURL("redirect_uri", belowPath+"_mock/callback"), "?", 2)[1]).location().RawQuery
	for page, least := range map[string]int{
		"": 3, "_mock/": 14, "_mock/?status=200": 14, "_mock/console/clients": 14, "_mock/console/users": 14, "_mock/console/sessions": 14,
		"_mock/console/tokens": 14, "_mock/console/faults": 14, "_mock/console/clock": 14, "_mock/console/tenant": 14,
		"_mock/callback?" + code: 1, "authorize?client_id=demo&response_type=code&redirect_uri=http://localhost:1/": 1,
	} {
		r := w.open(belowPath + page)
		found := 0
		for _, m := range addressAttribute.FindAllStringSubmatch(r.body, -1) {
			link, _, _ := strings.Cut(strings.TrimPrefix(html.UnescapeString(m[2]), origin), "#")
			if link == "" || link == "data:," {
				continue
			}
			found++
			if !strings.HasPrefix(link, "/a/") {
				t.Errorf("%q: %s", page, m[0])
			} else if m[1] == "href" && !strings.Contains(link, "/u/") && w.otherBrowser().open(origin+link).status == http.StatusNotFound {
				t.Errorf("%q: %s is not found", page, link)
			}
		}
		if found < least {
			t.Errorf("%q has %d links of at least %d: %s", page, found, least, r.body)
		}
	}
	for page, action := range map[string]string{
		"clock": "advance", "journal": "journal-clear", "faults": "fault-clear", "tenant": "reset",
	} {
		r := w.submitFrom(origin, belowPath+"_mock/console/"+page, "action", action, "by", "1h")
		want := "/a/_mock/console/" + page
		if page == "journal" {
			want = "/a/_mock/"
		}
		if got := r.header.Get("Location"); r.status != http.StatusSeeOther || got != want {
			t.Errorf("%s: %d Location %q", page, r.status, got)
		}
	}
}

func TestConsoleBelowAPathIsForItsOwnPagesOnly(t *testing.T) {
	w := newWorldBelow(t)
	for what, c := range map[string]struct{ base, origin string }{
		"another site":   {belowPath, "https://evil.example"},
		"another port":   {belowPath, "http://localhost:8401"},
		"a program":      {belowPath, ""},
		"a rebound name": {"http://evil.example:8400/a/", "http://evil.example:8400"},
	} {
		if got := w.submitFrom(c.origin, c.base+"_mock/console/clock", "action", "advance", "by", "1h"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", what, got.status)
		}
	}
	if r := w.open("http://evil.example:8400/a/_mock/console/clients"); r.status != http.StatusForbidden {
		t.Errorf("a page by a rebound name: %d", r.status)
	}
	if !w.Now().Equal(start) {
		t.Errorf("now %s", w.Now())
	}
}

// The console's logins use the browser's address, which the issuer's may not be.
func TestConsoleLogsInAtTheBrowsersAddress(t *testing.T) {
	w := newWorld(t, mock.Config{Issuer: inside, BrowserURL: outside + "a/"})
	links := loginLink.FindAllStringSubmatch(w.open(outside+"a/_mock/console/clients").body, -1)
	if len(links) == 0 || !strings.HasPrefix(links[0][1], outside+"a/authorize?") {
		t.Fatalf("links %v", links)
	}
	w.open(w.at("GET", html.UnescapeString(links[0][1])).header.Get("Location")).has("Logged in")
}

// The console may be on another listener, whose address the tenant does not always know.
func TestPagesLinkToTheConsoleWhereItIs(t *testing.T) {
	for consoleURL, want := range map[string]string{
		"": `href="/a/_mock/`, "http://localhost:8401/a/_mock/": `href="http://localhost:8401/a/_mock/`, mock.NoConsole: "",
	} {
		w := newWorld(t, mock.Config{Issuer: belowPath, ConsoleURL: consoleURL})
		links := loginLink.FindAllStringSubmatch(w.open(belowPath+"_mock/console/clients").body, -1)
		for what, r := range map[string]reply{
			"home":     w.open(belowPath),
			"error":    w.open(belowPath + "authorize?client_id=demo&response_type=code&redirect_uri=http://localhost:1/"),
			"callback": w.open(w.at("GET", html.UnescapeString(links[0][1])).header.Get("Location")),
		} {
			if got := strings.Contains(r.body, "_mock/"); got != (want != "") || !strings.Contains(r.body, want) {
				t.Errorf("%q: %s: %s", consoleURL, what, r.body)
			}
		}
	}
	if _, err := mock.New(mock.Config{ConsoleURL: "localhost"}); err == nil || !strings.Contains(err.Error(), "console url") {
		t.Errorf("%v", err)
	}
}
