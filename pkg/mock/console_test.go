package mock_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// page gets a page as a browser does.
func (w *world) page(path string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodGet, strings.TrimSuffix(issuer, "/")+path, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return w.do(r)
}

// press submits a form of the console.
func (w *world) press(page string, params ...string) reply {
	w.Helper()
	r := formRequest("/_mock/console/"+page, pairs(params...))
	r.Header.Set("Origin", "http://localhost:8400")
	return w.do(r)
}

// pressed submits a form that must succeed.
func (w *world) pressed(page string, params ...string) {
	w.Helper()
	if r := w.press(page, params...); r.status != http.StatusSeeOther {
		w.Errorf("%s %v: %d %s", page, params, r.status, r.errorText())
	}
}

var errorText = regexp.MustCompile(`(?s)id="error" role="alert"[^>]*>(.*?)</p>`)

func (r reply) errorText() string {
	m := errorText.FindStringSubmatch(r.body)
	if m == nil {
		return r.body
	}
	return html.UnescapeString(m[1])
}

func (r reply) has(texts ...string) {
	r.Helper()
	body := html.UnescapeString(r.body)
	for _, text := range texts {
		if !strings.Contains(body, text) {
			r.Errorf("lacks %q: %s", text, body)
		}
	}
}

func TestHomeIsForBrowsersOnly(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.page("/")
	if r.status != 200 {
		t.Errorf("%d", r.status)
	}
	r.has("mockauth0", issuer, `href="/_mock/"`, `href="/.well-known/openid-configuration"`)
	if csp := r.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || r.header.Get("Vary") != "Accept" {
		t.Errorf("%v", r.header)
	}
	if n := w.Journal().Count(mock.Query{}); n != 0 {
		t.Errorf("the page is in the journal")
	}
	if r := w.get("/"); r.status != 404 || r.body != "Not found" {
		t.Errorf("for a program: %d %s", r.status, r.body)
	}
}

func TestIndexIsJSONForPrograms(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for accept, page := range map[string]bool{"": false, "*/*": false, "application/json": false, "text/html,*/*": true} {
		r := httptest.NewRequest("GET", issuer+"_mock/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		got := w.do(r)
		if got.status != 200 || got.header.Get("Vary") != "Accept" || strings.HasPrefix(got.header.Get("Content-Type"), "text/html") != page {
			t.Errorf("%q: %d %s", accept, got.status, got.header.Get("Content-Type"))
		}
	}
}

func TestConsolePagesAllowTheirOwnScriptOnly(t *testing.T) {
	w := newWorld(t, mock.Config{})
	inline := regexp.MustCompile(`<script(?: [^>]*)?>[^<]|<style|\son[a-z]+=|style="|javascript:`)
	for _, path := range []string{"", "console/clients", "console/users", "console/sessions", "console/tokens", "console/faults", "console/clock", "console/tenant"} {
		r := w.page("/_mock/" + path)
		csp := r.header.Get("Content-Security-Policy")
		if r.status != 200 || csp != "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" {
			t.Errorf("%s: %d %s", path, r.status, csp)
		}
		for name, want := range map[string]string{
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "deny",
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %s: %q", path, name, got)
			}
		}
		if m := inline.FindString(r.body); m != "" {
			t.Errorf("%s has %q", path, m)
		}
	}
	for path, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"} {
		if r := w.get("/_mock/console/" + path); r.status != 200 || r.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
	if r := w.page("/_mock/console/nowhere"); r.status != 404 {
		t.Errorf("%d", r.status)
	}
}

func TestConsoleTakesFormsOfItsOwnPagesOnly(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for name, change := range map[string]func(*http.Request){
		"a program":    func(r *http.Request) { r.Header.Del("Origin") },
		"another site": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"a rebound name": func(r *http.Request) {
			r.Host = "evil.example:8400"
			r.Header.Set("Origin", "http://evil.example:8400")
		},
		"a frame":         func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another port":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"a sandboxed one": func(r *http.Request) { r.Header.Set("Origin", "null") },
	} {
		r := formRequest("/_mock/console/clock", pairs("action", "advance", "by", "1h"))
		r.Header.Set("Origin", "http://localhost:8400")
		change(r)
		if got := w.do(r); got.status != 403 {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if !w.Now().Equal(start) {
		t.Errorf("now %s", w.Now())
	}
	w.pressed("clock", "action", "advance", "by", "1h")
	if !w.Now().Equal(start.Add(time.Hour)) {
		t.Errorf("its own form: now %s", w.Now())
	}
}

// A page of another site may not read, but a person may follow a link.
func TestControlIsNotReadByOtherPages(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range []struct {
		site, mode string
		status     int
	}{
		{"cross-site", "no-cors", 403},
		{"same-site", "cors", 403},
		{"cross-site", "", 403},
		{"cross-site", "navigate", 200},
		{"same-origin", "cors", 200},
		{"none", "navigate", 200},
		{"", "", 200},
	} {
		r := httptest.NewRequest("GET", issuer+"_mock/clients", nil)
		r.Header.Set("Sec-Fetch-Site", c.site)
		r.Header.Set("Sec-Fetch-Mode", c.mode)
		if got := w.do(r); got.status != c.status {
			t.Errorf("%s %s: %d", c.site, c.mode, got.status)
		}
	}
}

var loginLink = regexp.MustCompile(`href="([^"]*/authorize\?[^"]*)"`)

// logInByConsole follows the nth link of the page Clients, to the callback page.
func (w *world) logInByConsole(n int) reply {
	w.Helper()
	links := loginLink.FindAllStringSubmatch(w.page("/_mock/console/clients").body, -1)
	r := w.get(html.UnescapeString(links[n][1]))
	return w.page(r.location().RequestURI())
}

func TestLoginLinksShowTokens(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default()})
	links := loginLink.FindAllStringSubmatch(w.page("/_mock/console/clients").body, -1)
	if len(links) != 4 { // two clients, two users
		t.Fatalf("%d links", len(links))
	}
	for i, want := range [][]string{
		{"Demo", "demo", agent}, {"Demo", "demo", guest}, {"demo-spa", agent}, {"demo-spa", guest},
	} {
		r := w.logInByConsole(i)
		r.has(want...)
		r.has("Logged in", "mockauth0", "read:calls", "ID token", `"nonce": "console"`, "Access token", `"aud": [`, "Refresh token")
		if r.header.Get("Content-Security-Policy") == "" {
			t.Error("no policy")
		}
	}
	w.Calls(mock.Token).Grant("authorization_code").Status(200).Times(t, 4)
	w.page("/_mock/callback?error=access_denied&error_description=no").has("The login failed", "access_denied", "no")
	w.page("/_mock/callback?code=absent").has("The address has no code of this tenant")
}

func TestLoginLinkShowsWhyTheTokenRequestFails(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default()})
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Times: 1, Kind: mock.FaultStatus, Status: 429})
	w.logInByConsole(0).has("The login failed", "too_many_requests", "a fault is armed for this call")
	fail(t, w.Tenant, mock.Fault{Endpoint: "token", Times: 1, Kind: mock.FaultReset})
	w.logInByConsole(0).has("The login failed", "no_token")
	code := w.code("redirect_uri", issuer+"_mock/callback", "code_challenge", challenge(), "code_challenge_method", "S256")
	w.page("/_mock/callback?code="+code).has("Failed to verify code verifier", "is it of another login?")
}

// No other address of the tenant is a callback of every client.
func TestOnlyTheConsolesCallbackIsImplicit(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, uri := range []string{issuer + "_mock/callback/", issuer + "_mock/callback?x", issuer + "_mock/", "http://127.0.0.1:8400/_mock/callback", "https://evil.example/_mock/callback"} {
		if r := w.authorize("redirect_uri", uri); r.status != 403 {
			t.Errorf("%s: %d", uri, r.status)
		}
	}
	w.code("redirect_uri", issuer+"_mock/callback")
}

func TestConsoleChangesTheTenant(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default()})
	user := func(email string) tenant.User {
		for _, u := range w.Users() {
			if u.Email == email {
				return u
			}
		}
		t.Fatalf("no user %s", email)
		return tenant.User{}
	}
	w.pressed("users", "action", "user-create", "email", "new@example.com", "password", "secret", "role", "agent")
	if u := user("new@example.com"); len(u.Roles) != 1 {
		t.Errorf("%+v", u)
	}
	w.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", "new@example.com", "password", "secret", "audience", api).tokens()
	w.pressed("users", "action", "user-change", "user", user(guest).UserID, "set", "blocked")
	w.pressed("users", "action", "user-change", "user", user(agent).UserID, "set", "roles")
	if g, a := user(guest), user(agent); !g.Blocked || len(a.Roles) != 0 {
		t.Errorf("%+v %+v", g, a)
	}
	w.pressed("users", "action", "user-change", "user", user(guest).UserID, "set", "unblocked")
	w.page("/_mock/console/users").has(agent, guest, "new@example.com")
	w.pressed("tenant", "action", "login", "mode", "form")
	w.authorize().state("/u/login")
	w.pressed("tenant", "action", "reset")
	if n := len(w.Users()); n != 2 {
		t.Errorf("%d users after a reset", n)
	}
	for text, params := range map[string][]string{
		`"x" is not an email address`:       {"action", "user-create", "email", "x"},
		"the user " + agent + " exists":     {"action", "user-create", "email", agent},
		`profile: "x" is not one of`:        {"action", "fault-profile", "profile", "x"},
		"there is no previous key; rotate":  {"action", "key-revoke"},
		`user: "x" does not exist`:          {"action", "token-issue", "user", "x"},
		`audience: "x" is not an API`:       {"action", "token-issue", "audience", "x"},
		"the user absent does not exist":    {"action", "user-change", "user", "absent", "set", "blocked"},
		`unknown action "fly"`:              {"action", "fly"},
		`"soon" is not a duration`:          {"action", "advance", "by", "soon"},
		`"tomorrow" is not a time`:          {"action", "goto", "at", "tomorrow"},
		"nothing expires":                   {"action", "goto", "at", "next"},
		"the session has ended already":     {"action", "session-end", "session", "x"},
		"no refresh-token family x":         {"action", "family-revoke", "family", "x"},
		`no fault is called "x"`:            {"action", "fault-preset", "preset", "x"},
		"the fault was disarmed already":    {"action", "fault-switch", "index", "0", "kind", "status"},
		`"x" is not a number`:               {"action", "fault-arm", "endpoint", "token", "kind", "reset", "times", "x"},
		`login: "x" is neither`:             {"action", "login", "mode", "x"},
		`role "x", which is not in roles`:   {"action", "user-create", "email", "y@example.com", "role", "x"},
		`kind: "x" is unknown`:              {"action", "fault-arm", "endpoint", "token", "kind", "x"},
		"kind delay needs a delay like 2s":  {"action", "fault-arm", "endpoint", "token", "kind", "delay"},
		"endpoint: \"x\" is not one of":     {"action", "fault-arm", "endpoint", "x", "kind", "reset"},
		"status: 0 is not between 200 and ": {"action", "fault-arm", "endpoint", "token", "kind", "status"},
	} {
		if r := w.press("users", params...); r.status != 400 || !strings.Contains(r.errorText(), text) {
			t.Errorf("%v: %d %s", params, r.status, r.errorText())
		}
	}
	if r := w.press("nowhere", "action", "reset"); r.status != 404 {
		t.Errorf("%d", r.status)
	}
}

func TestConsoleSwitchesFaults(t *testing.T) {
	w := newWorld(t, mock.Config{})
	ask := func() int { return w.exchange("x").status }
	w.pressed("faults", "action", "fault-preset", "preset", "limited")
	if got := []int{ask(), ask()}; got[0] != 429 || got[1] != 403 {
		t.Errorf("%v", got)
	}
	w.page("/_mock/console/faults").has(`aria-checked="false"`, "1 hit")
	w.pressed("faults", "action", "fault-switch", "index", "0", "kind", "status") // again
	if got := []int{ask(), ask()}; got[0] != 429 || got[1] != 403 {
		t.Errorf("again %v", got)
	}
	w.pressed("faults", "action", "fault-arm", "endpoint", "token", "kind", "status", "status", "503", "grant", "authorization_code", "client_id", "demo")
	if got := ask(); got != 503 {
		t.Errorf("%d", got)
	}
	w.page("/_mock/").has("1 fault armed")
	w.pressed("faults", "action", "fault-switch", "index", "1", "kind", "status")
	if got := ask(); got != 403 {
		t.Errorf("%d", got)
	}
	if r := w.press("faults", "action", "fault-switch", "index", "1", "kind", "reset"); r.status != 400 {
		t.Errorf("a fault of another kind: %d", r.status)
	}
	w.pressed("faults", "action", "fault-clear")
	w.pressed("faults", "action", "fault-arm", "endpoint", "token", "kind", "status", "status", "502", "times", "2")
	for range 2 { // a switch gives the fault all its calls again
		if got := []int{ask(), ask(), ask()}; got[0] != 502 || got[1] != 502 || got[2] != 403 {
			t.Errorf("%v", got)
		}
		w.pressed("faults", "action", "fault-switch", "index", "0", "kind", "status")
	}
	w.pressed("faults", "action", "fault-clear")
	if n := len(w.Faults()); n != 0 {
		t.Errorf("%d faults", n)
	}
}

// Each step of "to the next expiry" is when that thing stops working.
func TestNextExpiry(t *testing.T) {
	w := newWorld(t, mock.Config{})
	code := w.code("client_id", "rotating")
	tk := w.exchange(w.code("client_id", "rotating"), "client_id", "rotating", "client_secret", "rotating-secret").tokens()
	next := func(want time.Duration, what string) {
		t.Helper()
		w.page("/_mock/console/clock").has(what)
		w.pressed("clock", "action", "goto", "at", "next")
		if got := w.Now().Sub(start); got != want {
			t.Errorf("%s: now +%s, want +%s", what, got, want)
		}
	}
	w.userinfo(tk.Access)
	next(10*time.Minute, "Code")
	w.exchange(code, "client_id", "rotating", "client_secret", "rotating-secret").refused(403, "invalid_grant", "Invalid authorization code")
	next(10*time.Hour, "ID token")
	if got := w.userinfo(tk.Access).status; got != 200 {
		t.Errorf("%d", got)
	}
	next(24*time.Hour, "Access token")
	if got := w.userinfo(tk.Access).status; got != 401 {
		t.Errorf("%d", got)
	}
	next(100000*time.Second, "Refresh token") // idle
	w.refresh("rotating", tk.Refresh).refused(403, "invalid_grant", badRefresh)
	next(72*time.Hour+time.Second, "Session")
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	w.pressed("clock", "action", "goto", "at", "2026-03-01T12:00:00Z")
	w.pressed("clock", "action", "freeze", "on", "true")
	if r := w.page("/_mock/"); !strings.Contains(r.body, "stopped") {
		t.Error("the page does not say that the clock is stopped")
	}
	w.pressed("clock", "action", "clock-reset")
	if !w.Now().Equal(start) {
		t.Errorf("%s", w.Now())
	}
}

func TestConsoleShowsSessionsAsATree(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("rotating")
	next := w.refresh("rotating", tk.Refresh).tokens()
	body := w.page("/_mock/console/sessions").body
	for _, want := range []string{agent, "Refresh tokens of <b>rotating</b>", "generation 2", "Access token of <b>rotating</b>", "24 h left"} {
		if !strings.Contains(body, want) {
			t.Errorf("lacks %s", want)
		}
	}
	for _, secret := range []string{w.jar["auth0"], tk.Access, tk.Refresh, next.Refresh, strings.Split(tk.Access, ".")[2]} {
		for _, page := range []string{"", "console/sessions", "console/tokens", "console/clock"} {
			if strings.Contains(w.page("/_mock/"+page).body, secret) {
				t.Errorf("%q has a secret", page)
			}
		}
	}
	session := regexp.MustCompile(`name="session" value="([^"]*)"`).FindStringSubmatch(body)
	family := regexp.MustCompile(`name="family" value="([^"]*)"`).FindStringSubmatch(body)
	w.pressed("sessions", "action", "session-end", "session", session[1])
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	w.page("/_mock/console/sessions").has("No user is logged in", "Without a session", "generation 2")
	w.pressed("sessions", "action", "family-revoke", "family", family[1])
	w.refresh("rotating", next.Refresh).refused(403, "invalid_grant", badRefresh)
	w.page("/_mock/console/sessions").has("ended", "revoked in the console")
}

func TestConsoleDecodesTokens(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo")
	opaque := w.exchange(w.code("audience", "-")).tokens().Access
	w.page("/_mock/console/tokens").has("Access token of demo", "ID token of demo", `"azp": "demo"`, "opaque: for /userinfo only", "request 2")
	for want, token := range map[string]string{
		"Signed by this tenant. Expires in 24 h.": tk.Access,
		"Signed by this tenant. Expires in 10 h.": " " + tk.ID + "\n",
		`"sub": "auth0|`: opaque,
		"No RSA key of this tenant verifies the token.":                        tk.Access[:len(tk.Access)-8] + "AAAAAAAA",
		"This is not a JWT. Refresh tokens and codes are opaque.":              tk.Refresh,
		`<p role="status"><span class="tag warn">not valid</span> This is not`: "",
	} {
		r := w.press("tokens", "action", "decode", "token", token)
		if r.status != 200 {
			t.Errorf("%d", r.status)
		}
		r.has(want)
	}
	w.Advance(25 * time.Hour)
	w.press("tokens", "action", "decode", "token", tk.Access).has("Expired 1 h ago on its clock.")
}

func TestConsoleIssuesTokens(t *testing.T) {
	w := newWorld(t, mock.Config{})
	raw := regexp.MustCompile(`<pre class="raw">([^<]*)</pre>`)
	user := regexp.MustCompile(`<option value="([^"]*)">` + agent).FindStringSubmatch(w.page("/_mock/console/tokens").body)
	for _, c := range []struct {
		user string
		want []string
	}{
		{html.UnescapeString(user[1]), []string{"Issued for demo. Expires in 24 h.", `"sub": "` + html.UnescapeString(user[1])}},
		{"", []string{"Issued for demo.", `"sub": "demo@clients"`, `"gty": "client-credentials"`}},
	} {
		r := w.press("tokens", "action", "token-issue", "user", c.user, "audience", api)
		if r.has(c.want...); r.status != 200 {
			t.Errorf("%d", r.status)
		}
		token := raw.FindStringSubmatch(r.body)
		if token == nil {
			t.Fatalf("no token: %s", r.body)
		}
		if got, want := w.resource(token[1]), map[bool]int{true: 200, false: 401}[c.user != ""]; got != want {
			t.Errorf("the API answers %d", got)
		}
		if strings.Contains(w.page("/_mock/console/tokens").body, token[1]) {
			t.Error("the page keeps the token")
		}
	}
	w = newWorld(t, mock.Config{Tenant: &tenant.File{Clients: []tenant.Client{{Name: "App", ClientID: "app"}}}})
	if r := w.press("tokens", "action", "token-issue"); r.status != 400 || !strings.Contains(r.errorText(), "the tenant has no API") {
		t.Errorf("without an API: %d %s", r.status, r.errorText())
	}
}

// resource calls the protected API and returns the status.
func (w *world) resource(token string) int {
	r := httptest.NewRequest("GET", issuer+"_mock/resource/calls", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return w.do(r).status
}

func TestConsoleRotatesAndRevokesKeys(t *testing.T) {
	w := newWorld(t, mock.Config{})
	before := w.Keys()[0].ID
	if body := w.page("/_mock/console/tenant").body; strings.Contains(body, "key-revoke") {
		t.Error("the page offers to revoke the current key")
	}
	w.pressed("tenant", "action", "key-rotate")
	r := w.page("/_mock/console/tenant")
	r.has("signs", "next", "verifies", "Revoke the key "+before)
	kid := regexp.MustCompile(`name="kid" value="([^"]*)"`).FindAllStringSubmatch(r.body, -1)
	if len(kid) != 1 || kid[0][1] != before {
		t.Fatalf("%v", kid)
	}
	w.pressed("tenant", "action", "key-revoke", "kid", before)
	if keys := w.Keys(); keys[0].ID == before || keys[len(keys)-1].ID != before || !keys[len(keys)-1].Revoked {
		t.Errorf("%+v", keys)
	}
	w.page("/_mock/console/tenant").has(before, "revoked")
}

// The console has a button for each profile that MOCKAUTH0_FAULTS may name.
func TestConsoleArmsProfilesOfFaults(t *testing.T) {
	w := newWorld(t, mock.Config{})
	buttons := regexp.MustCompile(`name="profile" value="([^"]*)"`).FindAllStringSubmatch(w.page("/_mock/console/faults").body, -1)
	_, err := mock.New(mock.Config{Faults: []mock.Fault{{Profile: "absent"}}})
	for _, b := range buttons {
		if err == nil || !strings.Contains(err.Error(), b[1]) {
			t.Errorf("%s is not in %v", b[1], err)
		}
		w.pressed("faults", "action", "fault-profile", "profile", b[1])
		w.page("/_mock/console/faults").has("profile " + b[1])
		if list := w.Faults(); len(list) == 0 || list[0].Profile != b[1] {
			t.Errorf("%s: %+v", b[1], list)
		}
		w.pressed("faults", "action", "fault-clear")
	}
	if _, names, _ := strings.Cut(fmt.Sprint(err), "one of "); len(buttons) != len(strings.Split(names, ", ")) {
		t.Errorf("%d buttons for %v", len(buttons), err)
	}
}

func TestConsoleFiltersTheJournal(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("rotating")
	w.refresh("rotating", tk.Refresh)
	w.exchange("garbage")
	w.page("/_mock/").has("4 requests", `href="#r1">1</a> › <a href="#r2">2</a>`, "→</strong> the code is of another tenant", agent)
	w.page("/_mock/?endpoint=token&status=403").has("1 request<", `id="r4"`, "all requests")
	w.page("/_mock/?status=x").has("4 requests", `"x" is not a number`)
	w.pressed("journal", "action", "journal-clear")
	w.page("/_mock/").has("No request yet")
}

func TestConsoleShowsWhatIsIgnored(t *testing.T) {
	e := tenant.Default()
	e.Ignored = []string{"clients.sso_disabled (tenant.yaml:3): <no effect>"}
	w := newWorld(t, mock.Config{Tenant: e})
	w.page("/_mock/console/tenant").has("clients.sso_disabled (tenant.yaml:3): <no effect>", "mockauth0-test-key-02", api)
	if err := w.RotateKey(); err != nil {
		t.Fatal(err)
	}
	w.page("/_mock/console/tenant").has("signs", "verifies")
}

func TestErrorPageSaysWhatToChange(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.authorize("redirect_uri", "http://localhost:1/cb?"+url.QueryEscape("<b>"))
	r.page(403, "unauthorized_client", "Callback URL mismatch.")
	r.has(`id="mock-hint"`, "To fix this:", "to callbacks of client demo")
	if strings.Contains(r.body, "<b>") {
		t.Error("the page has markup of the request")
	}
	if r := w.get("/authorize?client_id=demo"); strings.Contains(r.body, "mock-hint") {
		t.Errorf("a hint without a text: %s", r.body)
	}
}
