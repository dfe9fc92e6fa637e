package referees_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// consoleTenant starts a tenant, a page of another site, which does nothing by itself,
// and a browser.
func consoleTenant(t *testing.T, env ...string) (*tenant, *chromium, *httptest.Server) {
	t.Helper()
	ten := startTenant(t, append([]string{"MOCKAUTH0_LOGIN=auto"}, env...)...)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>another site</title><div id="application">another site</div>`)
	}))
	t.Cleanup(other.Close)
	issuer, err := url.Parse(ten.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return ten, newChromium(t, ten, other, chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1:"+issuer.Port())), other
}

// open shows a page of the console, and waits until its stream of events has begun.
func (c *chromium) open(ten *tenant, page string) {
	c.t.Helper()
	c.do(chromedp.Navigate(ten.issuer+"_mock/"+page), visible("body[data-ready] #main"))
}

// shows waits until an element has a text.
func (c *chromium) shows(css, want string) {
	c.t.Helper()
	c.until(fmt.Sprintf("(document.querySelector(%q)?.innerText || '').includes(%q)", css, want))
}

func (ten *tenant) credentials() int {
	ten.t.Helper()
	res, err := http.PostForm(ten.issuer+"oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"demo"}, "client_secret": {"demo-secret"}, "audience": {audience},
	})
	if err != nil {
		ten.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// The journal shows each call as it happens, with why it was refused and what to change.
func TestConsoleJournalIsLive(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	tab.open(ten, "")
	tab.shows("#journal", "No request yet")
	ten.credentials()
	tab.shows("#r1 .call", "POST /oauth/token client_credentials")
	if res, err := http.PostForm(ten.issuer+"oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"demo"}, "client_secret": {"x"}}); err == nil {
		_ = res.Body.Close()
	}
	tab.shows("#r2 .status", "401")
	tab.shows("#r2 .why", "access_denied: wrong client_secret\n→ GET /_mock/clients shows the client_secret of client demo")
	tab.shows("#announce", "POST /oauth/token, 401. access_denied: wrong client_secret")
	tab.do(click("#pause"))
	ten.credentials()
	tab.do(click("#pause"))
	tab.shows("#r3", "200")
	tab.do(click("#journal-clear"))
	tab.shows("#journal", "No request yet")
}

func TestConsoleFaultChangesTheNextAnswer(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	tab.open(ten, "console/faults")
	tab.do(click("#preset-outage"))
	tab.shows("#fault-0", "token: status")
	if got := ten.credentials(); got != http.StatusServiceUnavailable {
		t.Errorf("armed: %d", got)
	}
	tab.shows("#faults", "1 hit")
	tab.shows("#clockbar", "1 fault armed")
	tab.do(click("#fault-0"))
	tab.until("document.getElementById('fault-0').getAttribute('aria-checked') === 'false'")
	if got := ten.credentials(); got != http.StatusOK {
		t.Errorf("switched off: %d", got)
	}
	tab.until("document.activeElement.id === 'fault-0'") // the focus stays on the switch
	tab.do(click("#fault-0"))
	tab.until("document.getElementById('fault-0').getAttribute('aria-checked') === 'true'")
	if got := ten.credentials(); got != http.StatusServiceUnavailable {
		t.Errorf("switched on again: %d", got)
	}
}

// A login by the link of a client, its tokens, and the clock.
func TestConsoleClockExpiresAToken(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	tab.open(ten, "console/clients")
	tab.do(chromedp.Click(chromedp.CSS("#client-demo .chips li:nth-child(1) a")), visible("#outcome"))
	tab.shows("#outcome", "Logged in")
	for _, want := range []string{"mockauth0", "Demo", "agent@example.com", "read:calls", "request 2"} {
		tab.shows("#login", want)
	}
	var token string
	tab.call("[...document.querySelectorAll('section')].find((s) => s.ariaLabel === 'Access token').querySelector('.raw').textContent", &token)
	calls := func() int {
		res, err := (&browser{t: t, http: http.DefaultClient}).bearer(ten.issuer+"_mock/resource/calls", token)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	if got := calls(); got != http.StatusOK {
		t.Errorf("the new token: %d", got)
	}
	tab.open(ten, "console/sessions")
	tab.shows("#sessions", "Refresh tokens of demo")
	tab.open(ten, "console/tokens")
	tab.shows("#issued", "Access token of demo")
	tab.shows("#clock-next", "ID token, in 10 h")
	tab.do(click("#clock-next"))
	tab.shows("#clock-next", "access token, in 14 h")
	if got := calls(); got != http.StatusOK {
		t.Errorf("after the ID token: %d", got)
	}
	tab.do(click("#clock-next"))
	tab.until("document.querySelectorAll('#issued .tag.warn').length === 2")
	if got := calls(); got != http.StatusUnauthorized {
		t.Errorf("after the access token: %d", got)
	}
	tab.do(click("#clock-hour"))
	tab.shows("#announce", "Done: +1 h")
	var at struct{ Now time.Time }
	ten.control(http.MethodGet, "clock", nil, &at)
	if d := time.Until(at.Now); d < 24*time.Hour+59*time.Minute || d > 25*time.Hour+time.Minute {
		t.Errorf("the clock is %s ahead", d)
	}
}

// A token that the console issues is good, and stays on the page while calls come in.
func TestConsoleIssuesATokenThatTheAPIAccepts(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	tab.open(ten, "console/tokens")
	tab.do(click("#issue"))
	tab.shows("#opened", "Issued for demo")
	var token string
	tab.call("document.querySelector('#opened .raw').textContent", &token)
	res, err := (&browser{t: t, http: http.DefaultClient}).bearer(ten.issuer+"_mock/resource/calls", token)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Errorf("the API answers %d", res.StatusCode)
	}
	ten.credentials()
	tab.shows("#issued", "Access token of demo")
	tab.shows("#opened", "Issued for demo")
	tab.open(ten, "console/tenant")
	tab.do(click("#key-rotate"))
	tab.shows("#settings", "verifies")
	tab.do(click("#settings .danger[value=key-revoke]"))
	tab.shows("#settings", "revoked")
	tab.open(ten, "console/faults")
	tab.do(click("#profile-outage"))
	tab.shows("#faults", "profile outage")
}

// The console of a tenant by path, in a process that has another one.
func TestConsoleWorksBelowAPath(t *testing.T) {
	t.Parallel()
	file := filepath.Join("testdata", "console.yaml")
	ten := startTenant(t, "MOCKAUTH0_LOGIN=auto", "MOCKAUTH0_TENANTS=a="+file+",b="+file)
	tab := launchChromium(t, strings.TrimSuffix(ten.issuer, "b/"))
	tab.do(click("#tenants li:nth-child(2) a"), visible("#console"))
	tab.do(click("#console"), visible("body[data-ready] #main"))
	_, _ = http.Get(ten.issuer + "authorize?client_id=demo") //nolint:bodyclose,noctx // only the journal
	tab.shows("#r1 .call", "/authorize")
	tab.do(click("#clock-hour"))
	tab.shows("#announce", "Done: +1 h")
	tab.open(ten, "console/clients")
	tab.do(chromedp.Click(chromedp.CSS("#client-demo .chips li:nth-child(1) a")), visible("#outcome"))
	tab.shows("#outcome", "Logged in")
	tab.do(click("#console"), visible("body[data-ready] #main"))
	tab.shows("h1", "Clients")
	var at string
	if tab.call("location.href", &at); at != ten.issuer+"_mock/console/clients" {
		t.Errorf("at %s", at)
	}
}

func TestConsoleChangesUsersAndSessions(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	tab.open(ten, "console/users")
	tab.do(chromedp.SendKeys(chromedp.CSS("#new-email"), "new@example.com"), click("#create-user"))
	tab.shows("#users", "new@example.com")
	tab.shows("#announce", "Done: Create") // after this the form is empty
	tab.do(chromedp.SendKeys(chromedp.CSS("#new-email"), "new@example.com"), click("#create-user"))
	tab.shows("#error", "the user new@example.com exists")
	// The page loads itself again when others change the tenant, and still says why.
	ten.control(http.MethodPost, "users", map[string]any{"email": "other@example.com"}, nil)
	tab.shows("#users", "other@example.com")
	tab.shows("#error", "the user new@example.com exists")
	tab.do(click("#users li:nth-child(1) [type=checkbox]"), click(`[aria-label="Save the roles of agent@example.com"]`))
	tab.shows("#announce", "Done: Save the roles of agent@example.com")
	tab.do(click(`[aria-label="Block guest@example.com"]`))
	tab.shows("#users", "blocked")
	var got struct {
		Users []struct {
			Email   string
			Blocked bool
			Roles   []string
		}
	}
	ten.control(http.MethodGet, "users", nil, &got)
	if len(got.Users) != 4 || got.Users[0].Blocked || len(got.Users[0].Roles) != 0 || !got.Users[1].Blocked || got.Users[2].Email != "new@example.com" {
		t.Errorf("%+v", got.Users)
	}
}

// hostile is what a page of another site tries: it returns what it could read.
const hostile = `(async () => {
  const read = [];
  const form = (body) => ({ method: 'POST', credentials: 'include', body });
  for (const path of ['requests', 'clients', 'users', 'mails', 'console/users', 'console/style.css', 'callback', '']) {
    for (const mode of ['cors', 'no-cors']) {
      try {
        const text = await (await fetch(BASE + path, { mode, credentials: 'include', headers: { Accept: mode === 'cors' ? 'text/html' : '*/*' } })).text();
        if (text && !text.startsWith('{"error":"')) read.push(mode + ' ' + path + ': ' + text.slice(0, 80));
      } catch { /* refused */ }
    }
  }
  for (const mode of ['cors', 'no-cors']) {
    for (const [path, body] of [['reset', '{}'], ['clock', '{"advance":"25h"}'], ['users', '{"email":"x@evil.example"}'],
      ['console/clock', new URLSearchParams({ action: 'advance', by: '25h' })],
      ['console/users', new URLSearchParams({ action: 'user-create', email: 'x@evil.example' })]]) {
      try { await fetch(BASE + path, { mode, ...form(body) }); } catch { /* refused */ }
    }
  }
  await new Promise((done) => {
    const events = new EventSource(BASE + 'events?after=0');
    events.addEventListener('request', (e) => { read.push('events: ' + e.data); });
    events.onopen = () => read.push('events: open');
    events.onerror = done;
    setTimeout(done, 2000);
  });
  const frame = document.createElement('iframe');
  frame.name = 'target';
  document.body.append(frame);
  const sent = document.createElement('form');
  Object.assign(sent, { method: 'POST', action: BASE + 'console/clock', target: 'target' });
  sent.innerHTML = '<input name="by" value="25h">';
  const button = Object.assign(document.createElement('button'), { name: 'action', value: 'advance' });
  sent.append(button);
  document.body.append(sent);
  await new Promise((done) => { frame.onload = done; sent.requestSubmit(button); setTimeout(done, 2000); });
  try { if (frame.contentDocument && frame.contentDocument.body.innerText && !frame.contentDocument.body.innerText.startsWith('{"error":"')) read.push('frame: ' + frame.contentDocument.body.innerText); } catch { /* another origin */ }
  return read;
})()`

// A page of another site, one of another port, and one whose name resolves to this
// machine read nothing and change nothing.
func TestConsoleGivesOtherPagesNothing(t *testing.T) {
	t.Parallel()
	ten, tab, other := consoleTenant(t)
	ten.credentials()
	issuer, err := url.Parse(ten.issuer)
	if err != nil {
		t.Fatal(err)
	}
	rebinding := "http://evil.example:" + issuer.Port()
	for name, c := range map[string]struct{ at, base string }{
		"another port": {strings.Replace(other.URL, "127.0.0.1", "localhost", 1), ten.issuer + "_mock/"},
		"another site": {other.URL, ten.issuer + "_mock/"},
		"rebinding":    {rebinding + "/", rebinding + "/_mock/"},
	} {
		tab.do(chromedp.Navigate(c.at))
		if name == "rebinding" {
			tab.shows("body", "A mock Auth0 tenant") // its page, by the attacker's name
		}
		var read []string
		tab.call(strings.ReplaceAll(hostile, "BASE", fmt.Sprintf("%q", c.base)), &read)
		if len(read) > 0 {
			t.Errorf("%s read: %s", name, strings.Join(read, "\n"))
		}
	}
	tab.do(chromedp.Navigate(rebinding + "/_mock/"))
	tab.shows("body", `host evil.example:`+issuer.Port()+` is not a loopback name`)
	var at struct{ Now time.Time }
	ten.control(http.MethodGet, "clock", nil, &at)
	if d := time.Until(at.Now); d > time.Minute {
		t.Errorf("the clock is %s ahead", d)
	}
	if got := ten.journal("token", ""); len(got) != 1 {
		t.Errorf("the journal was emptied: %+v", got)
	}
	var users struct{ Count int }
	if ten.control(http.MethodGet, "users", nil, &users); users.Count != 2 {
		t.Errorf("%d users", users.Count)
	}
	tab.open(ten, "") // its own page works
	tab.do(click("#clock-hour"))
	tab.shows("#announce", "Done: +1 h")
}

// Every page of the console by keyboard alone: each control has a name, and the focus
// is seen.
func TestConsoleControlsHaveNames(t *testing.T) {
	t.Parallel()
	ten, tab, _ := consoleTenant(t)
	showState(ten, tab)
	for _, page := range consolePages {
		tab.open(ten, page)
		var unnamed []string
		tab.call(`[...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, a')].filter((e) =>
			!(e.ariaLabel || e.textContent?.trim() && e.localName !== 'select' || e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML)`, &unnamed)
		if len(unnamed) > 0 {
			t.Errorf("%q: without a name: %s", page, strings.Join(unnamed, "\n"))
		}
		var outline struct {
			H1, Main, Nav, Current int
			Wide                   bool
		}
		tab.call(`({H1: document.querySelectorAll('h1').length, Main: document.querySelectorAll('main').length,
			Nav: document.querySelectorAll('nav[aria-label]').length, Current: document.querySelectorAll('[aria-current=page]').length})`, &outline)
		if outline.H1 != 1 || outline.Main != 1 || outline.Nav != 1 || outline.Current != 1 {
			t.Errorf("%q: %+v", page, outline)
		}
		tab.do(chromedp.EmulateViewport(375, 700))
		var wider int
		tab.call("document.documentElement.scrollWidth - innerWidth", &wider)
		if wider > 0 {
			t.Errorf("%q: %d pixels wider than a telephone", page, wider)
		}
		tab.do(chromedp.EmulateViewport(1280, 900))
	}
}

var consolePages = []string{"", "console/clients", "console/users", "console/sessions", "console/tokens", "console/faults", "console/clock", "console/tenant"}

// showState makes something of each kind to see.
func showState(ten *tenant, tab *chromium) {
	for _, user := range []string{"1", "2"} {
		tab.open(ten, "console/clients")
		tab.do(chromedp.Click(chromedp.CSS("#client-demo-spa .chips li:nth-child("+user+") a")), visible("#outcome"))
	}
	ten.credentials()
	_, _ = http.Get(ten.issuer + "authorize?response_type=code&client_id=demo&redirect_uri=http://localhost:9999/cb") //nolint:bodyclose,noctx // only the journal
	ten.control(http.MethodPost, "faults", object{"endpoint": "token", "kind": "status", "status": 503, "times": 1}, nil)
	ten.control(http.MethodPost, "faults", object{"endpoint": "userinfo", "kind": "delay", "delay": "2s", "client_id": "demo"}, nil)
	ten.credentials()
	ten.control(http.MethodPatch, "users/guest@example.com", object{"blocked": true}, nil)
}

// look is a size and the colours of a page.
type look struct {
	name, scheme string
	width        int64
}

// TestConsoleScreenshots writes a picture of each page to the directory
// CONSOLE_SCREENSHOTS: light, dark, and 375 pixels wide.
func TestConsoleScreenshots(t *testing.T) {
	t.Parallel()
	looks := []look{{"375", "light", 375}, {"light", "light", 1280}, {"dark", "dark", 1280}}
	dir := os.Getenv("CONSOLE_SCREENSHOTS")
	if dir == "" {
		dir, looks = t.TempDir(), looks[:1]
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	ten, tab, _ := consoleTenant(t, "MOCKAUTH0_TENANT="+filepath.Join("testdata", "console.yaml"))
	showState(ten, tab)
	pages := map[string]string{
		"home": "", "error": "authorize?response_type=code&client_id=demo&redirect_uri=http://localhost:9999/cb",
		"callback": "",
	}
	for _, page := range consolePages {
		pages["console-"+strings.TrimPrefix(strings.TrimPrefix(page, "console"), "/")] = "_mock/" + page
	}
	var login string
	tab.open(ten, "console/clients")
	tab.call("document.querySelector('#client-demo .chips a').href", &login)
	for name, path := range pages {
		at := ten.issuer + path
		if name == "callback" {
			at = login
		}
		tab.do(chromedp.Navigate(at), visible("main"))
		for _, look := range looks {
			tab.do(colours(look.scheme), chromedp.EmulateViewport(look.width, 900))
			png, err := chromedp.Run(tab.ctx, chromedp.FullScreenshot(100))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, strings.TrimSuffix(name, "-")+"-"+look.name+".png"), png, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// colours asks pages for a light or dark look.
func colours(scheme string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
