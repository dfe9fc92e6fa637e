package mock_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// state returns the state of the page to which a reply redirects.
func (r reply) state(page string) string {
	r.Helper()
	u := r.location()
	if u.Path != page {
		r.Fatalf("leads to %s, not to %s", u, page)
	}
	return u.Query().Get("state")
}

// signIn submits the login page and follows its redirect.
func (w *world) signIn(r reply, login string) reply {
	w.Helper()
	state := r.state("/u/login")
	if page := w.get("/u/login?state=" + state); page.status != http.StatusOK {
		w.Fatalf("%d %s", page.status, page.body)
	}
	r = w.post("/u/login?state="+state, "state", state, "username", login, "password", "password")
	return w.get(r.location().String())
}

// consent submits the consent page and follows its redirect.
func (w *world) consent(r reply, action string) reply {
	w.Helper()
	state := r.state("/u/consent")
	r = w.post("/u/consent?state="+state, "state", state, "action", action)
	return w.get(r.location().String())
}

func formWorld(t testing.TB) *world { return newWorld(t, mock.Config{Login: mock.LoginForm}) }

func TestLoginAndConsentByForms(t *testing.T) {
	w := formWorld(t)
	r := w.authorize("login_hint", guest)
	state := r.state("/u/login")
	if ck := r.header.Values("Set-Cookie"); !strings.Contains(strings.Join(ck, "\n"), "auth0=") {
		t.Fatalf("no session cookie: %v", ck)
	}
	page := w.get("/u/login?state=" + state)
	for _, want := range []string{`id="login-form"`, `name="username" value="` + guest + `"`, `name="password"`, "Log in to mockauth0 to continue to Demo."} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the login page lacks %s", want)
		}
	}
	if page.header.Get("X-Frame-Options") != "deny" || !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("the login page may be framed")
	}
	for _, wrong := range [][2]string{{guest, "wrong"}, {"absent@example.com", "password"}, {guest, ""}, {"", "password"}, {"", ""}} {
		bad := w.post("/u/login?state="+state, "username", wrong[0], "password", wrong[1])
		if bad.status != http.StatusBadRequest || !strings.Contains(bad.body, "Wrong email or password.") {
			t.Errorf("%v: %d", wrong, bad.status)
		}
	}
	r = w.signIn(r, guest)
	consent := w.get(r.location().String())
	for _, want := range []string{"Demo is requesting access", "Profile: access to your profile", "Offline access", guest} {
		if !strings.Contains(html.UnescapeString(consent.body), want) {
			t.Errorf("the consent page lacks %q", want)
		}
	}
	r = w.consent(r, "accept")
	if r.param("code") == "" || r.param("state") != "xyzABC123" {
		t.Fatalf("Location %s", r.header.Get("Location"))
	}
	if sub := claims(t, w.exchange(r.param("code")).tokens().ID)["email"]; sub != guest {
		t.Errorf("logged in as %v", sub)
	}
	if again := w.get("/u/login?state=" + state); again.status != http.StatusBadRequest {
		t.Errorf("a finished transaction still has its page: %d", again.status)
	}
}

func TestPagesNeedTheirSession(t *testing.T) {
	w := formWorld(t)
	state := w.authorize().state("/u/login")
	const lost = "You may have pressed the back button, refreshed during login, opened too many login dialogs, or there is some " +
		"issue with cookies, since we couldn't find your session."
	other := w.otherBrowser()
	other.authorize() // has its own session
	for name, b := range map[string]*world{"no cookie": w.otherBrowser(), "another browser": other} {
		for _, path := range []string{"/u/login", "/u/consent", "/authorize/resume", "/u/logout-consent"} {
			r := b.get(path + "?state=" + state)
			r.page(400, "invalid_request", lost)
			if t.Failed() {
				t.Fatalf("%s %s", name, path)
			}
		}
		b.post("/u/login?state="+state, "username", agent, "password", "password").page(400, "invalid_request", lost)
	}
	w.get("/u/login").page(400, "invalid_request", lost)
	w.get("/u/consent?state="+state).page(400, "invalid_request", lost) // no login yet
	w.Advance(time.Hour + time.Second)
	w.get("/u/login?state="+state).page(400, "invalid_request", lost)
}

func TestSessionFixation(t *testing.T) {
	w := formWorld(t)
	r := w.authorize()
	planted := w.jar["auth0"]
	w.signIn(r, agent)
	if w.jar["auth0"] == planted {
		t.Fatal("the session id stays the same over a login")
	}
	attacker := w.otherBrowser()
	attacker.jar["auth0"] = planted
	if r := attacker.authorize("prompt", "none"); r.param("error") != "login_required" {
		t.Errorf("the attacker's cookie is logged in: %s", r.header.Get("Location"))
	}
}

func TestTwoTabsOfOneBrowser(t *testing.T) {
	w := formWorld(t)
	first, second := w.authorize("state", "one"), w.authorize("state", "two")
	if r := w.consent(w.signIn(first, agent), "accept"); r.param("state") != "one" {
		t.Errorf("%s", r.header.Get("Location"))
	}
	if r := w.signIn(second, agent); r.param("state") != "two" || r.param("code") == "" {
		t.Errorf("the other tab's login was lost: %d %s", r.status, r.header.Get("Location"))
	}
}

func TestConsentIsRememberedPerUserClientAPIAndScope(t *testing.T) {
	w := formWorld(t)
	w.consent(w.signIn(w.authorize(), agent), "accept")
	asked := func(params ...string) bool {
		t.Helper()
		u := w.authorize(params...).location()
		return u.Path == "/u/consent"
	}
	for _, c := range []struct {
		name   string
		want   bool
		params []string
	}{
		{"the same", false, nil},
		{"scopes in another order", false, []string{"scope", "offline_access email profile openid"}},
		{"fewer scopes", true, []string{"scope", "openid"}},
		{"more scopes", true, []string{"scope", scopes + " read:calls"}},
		{"another client", true, []string{"client_id", "rotating"}},
		{"no API, localhost", false, []string{"audience", "-"}},
		{"prompt=consent", true, []string{"prompt", "consent"}},
		{"third party without API", true, []string{"client_id", "third", "audience", "-"}},
		{"third party, an API that spares first parties", true, []string{
			"client_id", "third", "redirect_uri", "https://third.example.com/cb", "audience", "https://second.example/",
		}},
		{"an API that spares first parties, but on localhost", true, []string{"audience", "https://second.example/"}},
		{"an API that spares first parties", false, []string{"client_id", "wild", "redirect_uri", "com.example.app://cb", "audience", "https://second.example/"}},
	} {
		if c.name == "no API, localhost" { // a localhost callback always asks once
			w.consent(w.authorize(c.params...), "accept")
		}
		if got := asked(c.params...); got != c.want {
			t.Errorf("%s: asked %v, want %v", c.name, got, c.want)
		}
	}
	other := w.otherBrowser()
	if r := other.signIn(other.authorize(), guest); r.location().Path != "/u/consent" {
		t.Errorf("another user was not asked: %s", r.header.Get("Location"))
	}
	w.mustControl("DELETE", "/_mock/consents", "")
	if !asked() {
		t.Error("a withdrawn consent still counts")
	}
}

func TestConsentDeclined(t *testing.T) {
	w := formWorld(t)
	w.consent(w.signIn(w.authorize(), agent), "decline").redirectsError("access_denied", "User did not authorize the request")
	w.consent(w.authorize(), "decline").redirectsError("access_denied", "User did not authorize the request")
	w.consent(w.authorize("client_id", "third"), "decline").page(403, "access_denied", "User did not authorize the request")
	w.consent(w.authorize("client_id", "lenient-third"), "decline").redirectsError("access_denied", "User did not authorize the request")
}

func TestPromptNone(t *testing.T) {
	for _, mode := range []mock.LoginMode{mock.LoginAuto, mock.LoginForm} {
		w := newWorld(t, mock.Config{Login: mode})
		r := w.authorize("prompt", "none")
		r.redirectsError("login_required", "Login required")
		if want := callback + "?error=login_required&error_description=Login%20required&state=xyzABC123"; r.header.Get("Location") != want {
			t.Errorf("%s: %s", mode, r.header.Get("Location"))
		}
		if mode == mock.LoginForm {
			w.signIn(w.authorize(), agent)
		} else {
			w.authorize("scope", "openid")
		}
		w.authorize("prompt", "none").redirectsError("consent_required", "Consent required")
		w.mustControl("POST", "/_mock/consents", `{"user":"`+agent+`","client_id":"demo","audience":"`+api+`","scope":"`+scopes+`"}`)
		if r := w.authorize("prompt", "none"); r.param("code") == "" {
			t.Errorf("%s: no code: %s", mode, r.header.Get("Location"))
		}
		w.Advance(100 * time.Second)
		w.authorize("prompt", "none", "max_age", "99").redirectsError("login_required", "Login required")
		if r := w.authorize("prompt", "none", "max_age", "101"); r.param("code") == "" {
			t.Errorf("%s: no code: %s", mode, r.header.Get("Location"))
		}
		w.get("/v2/logout")
		w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	}
}

func TestPromptLoginAndMaxAgeAskAgain(t *testing.T) {
	w := formWorld(t)
	first := w.consent(w.signIn(w.authorize("max_age", "1000"), agent), "accept")
	began := claims(t, w.exchange(first.param("code")).tokens().ID)
	if began["auth_time"] != float64(start.Unix()) {
		t.Fatalf("auth_time %v", began["auth_time"])
	}
	w.Advance(time.Minute)
	cases := []struct {
		name   string
		params []string
		asks   bool
		time   any // of auth_time
	}{
		{"plain", nil, false, nil},
		{"max_age not over", []string{"max_age", "61"}, false, float64(start.Unix())},
		{"max_age over", []string{"max_age", "60"}, true, float64(start.Unix() + 60)},
		{"max_age 0", []string{"max_age", "0"}, true, float64(start.Unix() + 60)},
		{"prompt=login", []string{"prompt", "login"}, true, float64(start.Unix() + 60)},
		{"select_account", []string{"prompt", "select_account"}, true, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.authorize(c.params...)
			if asks := r.location().Path == "/u/login"; asks != c.asks {
				t.Fatalf("asks %v: %s", asks, r.header.Get("Location"))
			}
			if c.asks {
				r = w.signIn(r, agent)
			}
			id := claims(t, w.exchange(r.param("code")).tokens().ID)
			if id["auth_time"] != c.time || id["sub"] != began["sub"] || id["sid"] != began["sid"] {
				t.Errorf("%v, want auth_time %v and sub and sid of %v", id, c.time, began)
			}
		})
	}
}

func TestReauthenticationInAutoModeKeepsTheUser(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.authorize("login_hint", guest)
	for _, params := range [][]string{{}, {"prompt", "login"}, {"max_age", "0"}} {
		if id := claims(t, w.exchange(w.code(params...)).tokens().ID); id["email"] != guest {
			t.Errorf("%v: logged in as %v", params, id["email"])
		}
	}
	if id := claims(t, w.exchange(w.code("prompt", "select_account")).tokens().ID); id["email"] != agent {
		t.Errorf("select_account did not choose another user: %v", id["email"])
	}
	w.authorize("login_hint", guest)
	if id := claims(t, w.exchange(w.code("prompt", "login", "login_hint", agent)).tokens().ID); id["email"] != agent {
		t.Errorf("the hint was ignored: %v", id["email"])
	}
}

func TestSessionsEnd(t *testing.T) {
	cases := []struct {
		name   string
		patch  string
		step   time.Duration
		steps  int
		signed bool
	}{
		{"idle", `{}`, 72*time.Hour + 1, 1, false},
		{"used", `{}`, 71 * time.Hour, 2, true},
		{"absolute", `{}`, 60 * time.Hour, 3, false},
		{"tenant's idle", `{"idle_session_lifetime":1}`, time.Hour + 1, 1, false},
		{"tenant's absolute", `{"session_lifetime":0.5}`, 31 * time.Minute, 1, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, mock.Config{})
			w.mustControl("PATCH", "/_mock/tenant", c.patch)
			w.authorize()
			var r reply
			for range c.steps {
				w.Advance(c.step)
				r = w.authorize("prompt", "none")
			}
			if signed := r.param("code") != ""; signed != c.signed {
				t.Errorf("logged in %v: %s", signed, r.header.Get("Location"))
			}
		})
	}
}

func TestSecureCookiesOnHTTPSOnly(t *testing.T) {
	w := newWorld(t, mock.Config{Issuer: "https://acme.example/"})
	for _, c := range w.authorize().header.Values("Set-Cookie") {
		if !strings.Contains(c, "Secure") || !strings.Contains(c, "HttpOnly") {
			t.Errorf("%s", c)
		}
	}
}

func TestChangesInTheMiddleOfALogin(t *testing.T) {
	t.Run("client deleted", func(t *testing.T) {
		w := formWorld(t)
		r := w.authorize("client_id", "hybrid", "response_type", "code token")
		w.mustControl("DELETE", "/_mock/clients/hybrid", "")
		if r := w.get(r.location().String()); r.status != http.StatusBadRequest {
			t.Errorf("%d", r.status)
		}
	})
	t.Run("client changed", func(t *testing.T) {
		w := formWorld(t)
		r := w.authorize()
		w.mustControl("PATCH", "/_mock/clients/demo", `{"name":"Renamed"}`)
		if r := w.get(r.location().String()); !strings.Contains(r.body, "Renamed") {
			t.Error("the page shows the old name")
		}
	})
	t.Run("user deleted", func(t *testing.T) {
		w := formWorld(t)
		r := w.signIn(w.authorize(), agent)
		w.mustControl("DELETE", "/_mock/users/"+agent, "")
		if r := w.get(r.location().String()); r.status != http.StatusBadRequest {
			t.Errorf("%d", r.status)
		}
		if r := w.authorize(); r.location().Path != "/u/login" {
			t.Errorf("the deleted user is logged in: %s", r.header.Get("Location"))
		}
	})
}

func TestPagesNeedNoScript(t *testing.T) {
	w := formWorld(t)
	r := w.authorize()
	var bodies []string
	bodies = append(bodies, w.get(r.location().String()).body)
	r = w.signIn(r, agent)
	bodies = append(bodies, w.get(r.location().String()).body, w.get("/activate").body, w.get("/authorize").body)
	for _, b := range bodies {
		if strings.Contains(b, "<script") || !strings.Contains(b, `lang="en"`) || !strings.Contains(b, "mock tenant for tests") {
			t.Errorf("a script, no language or no notice in %s", b)
		}
		for _, m := range regexp.MustCompile(`<input type="(?:text|password)" id="([^"]+)"`).FindAllStringSubmatch(b, -1) {
			if !strings.Contains(b, `<label for="`+m[1]+`">`) {
				t.Errorf("the field %s has no label", m[1])
			}
		}
	}
}

func TestPageValuesAreEscaped(t *testing.T) {
	w := formWorld(t)
	r := w.authorize("login_hint", `"><script>alert(1)</script>`)
	if b := w.get(r.location().String()).body; strings.Contains(b, "<script>") {
		t.Error(b)
	}
	if b := w.get("/authorize?response_type=code&client_id=" + url.QueryEscape("<script>")).body; strings.Contains(b, "<script>") {
		t.Error(b)
	}
}
