package mock_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

func TestAuthorizeSendsCodeAndState(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.authorize()
	loc := r.header.Get("Location")
	code := r.param("code")
	if want := callback + "?code=" + code + "&state=xyzABC123"; loc != want || len(code) != 45 {
		t.Errorf("Location %q, want %q with a code of 45 characters", loc, want)
	}
	if r.body != "" {
		t.Errorf("a body: %q", r.body)
	}
	if cc := r.header.Get("Cache-Control"); !strings.HasPrefix(cc, "private, no-store") {
		t.Errorf("Cache-Control %q", cc)
	}
}

func TestStateReturnsByteIdentical(t *testing.T) {
	w := newWorld(t, mock.Config{})
	states := []string{
		"a b", "a+b", "a%20b", "%", "%%41", "&=?#", "\x00\x01\x7f", "\xff\xfe not UTF-8", "ü€😀", `"<script>'`, "a;b", "line\r\nbreak",
		"!*'()~", " ", "code=other&state=x", strings.Repeat("s", 4000),
	}
	for _, state := range states {
		for _, mode := range []string{"query", "fragment"} {
			r := w.authorize("state", state, "response_mode", mode)
			if got := r.param("state"); got != state {
				t.Errorf("%s: state %q came back as %q (%s)", mode, state, got, r.header.Get("Location"))
			}
		}
		r := w.authorize("state", state, "scope", "openid", "prompt", "bogus")
		if got := r.param("state"); got != state {
			t.Errorf("error: state %q came back as %q", state, got)
		}
	}
	t.Run("a raw semicolon is data", func(t *testing.T) {
		r := w.get(strings.Replace(authorizeURL(), "xyzABC123", "a;b", 1))
		if got := r.location().RawQuery; !strings.HasSuffix(got, "&state=a%3Bb") {
			t.Errorf("query %q", got)
		}
	})
	t.Run("sent empty comes back empty", func(t *testing.T) {
		if got := w.authorize("state", "").location().RawQuery; !strings.HasSuffix(got, "&state=") {
			t.Errorf("query %q", got)
		}
	})
	t.Run("absent stays absent", func(t *testing.T) {
		if w.authorize("state", "-").location().Query().Has("state") {
			t.Error("unexpected state")
		}
	})
}

func TestRedirectURIIsExact(t *testing.T) {
	w := newWorld(t, mock.Config{})
	good := []struct{ client, uri string }{
		{"demo", callback},
		{"demo", "http://127.0.0.1:8484/callback"},
		{"wild", "https://a.example.com/cb"},
		{"wild", "https://x-1.example.com/cb"},
		{"wild", "https://app.example.org/cb?tenant=1"},
		{"wild", "com.example.app://cb"},
	}
	for _, g := range good {
		r := w.authorize("client_id", g.client, "redirect_uri", g.uri)
		if loc := r.header.Get("Location"); r.status != http.StatusFound || !strings.HasPrefix(loc, g.uri) || r.param("code") == "" {
			t.Errorf("%s was not accepted: %d %s", g.uri, r.status, loc)
		}
	}
	bad := []struct{ client, uri string }{
		{"demo", callback + "/"},
		{"demo", callback + "/../callback"},
		{"demo", callback + "?"},
		{"demo", callback + "?a=b"},
		{"demo", callback + "#"},
		{"demo", callback + "#x"},
		{"demo", "http://localhost:8484/Callback"},
		{"demo", "HTTP://localhost:8484/callback"},
		{"demo", "http://LOCALHOST:8484/callback"},
		{"demo", "http://localhost:8484/%63allback"},
		{"demo", "http://localhost:8484//callback"},
		{"demo", "http://localhost/callback"},
		{"demo", "http://localhost:08484/callback"},
		{"demo", "http://user@localhost:8484/callback"},
		{"demo", "http://localhost:8484@evil.example/callback"},
		{"demo", "http://localhost:8484.evil.example/callback"},
		{"demo", "https://localhost:8484/callback"},
		{"demo", "//localhost:8484/callback"},
		{"demo", "/callback"},
		{"demo", callback + " "},
		{"demo", callback + "\r\nX: y"},
		{"demo", "javascript:alert(1)"},
		{"demo", "http://[::1]:8484/callback"},
		{"demo", "http://localhost:8484\\callback"},
		{"demo", "https://evil.example/cb"},
		{"demo", "%"},
		{"wild", "https://a.b.example.com/cb"},
		{"wild", "https://.example.com/cb"},
		{"wild", "https://example.com/cb"},
		{"wild", "https://evil.example#.example.com/cb"},
		{"wild", "https://evil.example/x.example.com/cb"},
		{"wild", "https://evil.example?.example.com/cb"},
		{"wild", "https://u@a.example.com/cb"},
		{"wild", "https://a:1.example.com/cb"},
		{"wild", "https://*.example.com/cb"},
		{"wild", "https://a\\.example.com/cb"},
		{"wild", "http://a.example.com/cb"},
		{"wild", "https://a.example.com/cb/"},
		{"wild", "https://a.example.com:444/cb"},
		{"wild", "https://app.example.org/cb"},
		{"wild", "https://app.example.org/cb?tenant=2"},
		{"wild", "https://a%2f.example.com/cb"},
		{"wild", "https://app.example.org/#cb"},
		{"wild", "/relative"}, // registered, but a redirect_uri must be absolute
	}
	for _, b := range bad {
		r := w.authorize("client_id", b.client, "redirect_uri", b.uri)
		r.page(http.StatusForbidden, "unauthorized_client", "Callback URL mismatch. "+b.uri+" is not in the list of allowed callback URLs")
		if !strings.Contains(r.body, "The provided redirect_uri is not in the list of allowed callback URLs.") {
			t.Errorf("%s: the page lacks the recorded sentence", b.uri)
		}
	}
}

func TestRedirectMergesIntoQuery(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.authorize("client_id", "wild", "redirect_uri", "https://app.example.org/cb?tenant=1")
	if q := r.location().RawQuery; !strings.HasPrefix(q, "tenant=1&code=") || !strings.HasSuffix(q, "&state=xyzABC123") {
		t.Errorf("query %q", q)
	}
}

func TestMissingRedirectURIDefaultsToTheFirstCallback(t *testing.T) {
	w := newWorld(t, mock.Config{})
	r := w.authorize("redirect_uri", "-")
	if got := r.header.Get("Location"); !strings.HasPrefix(got, callback+"?code=") {
		t.Fatalf("Location %q", got)
	}
	if x := w.exchange(r.param("code"), "redirect_uri", "-"); x.status != http.StatusOK {
		t.Errorf("the code is not exchanged without redirect_uri: %s", x.body)
	}
	w.authorize("client_id", "machine", "redirect_uri", "-").page(400, "invalid_request", "Missing required parameter: redirect_uri")
}

func TestAuthorizeErrorsOnAPage(t *testing.T) {
	w := newWorld(t, mock.Config{})
	pages := []struct {
		name       string
		params     []string
		status     int
		code, text string
	}{
		{name: "no client_id", params: []string{"client_id", "-"}, status: 400, code: "invalid_request", text: "Missing required parameter: client_id"},
		{name: "unknown client", params: []string{"client_id", "nope"}, status: 400, code: "invalid_request", text: "Unknown client: nope"},
		{name: "no response_type", params: []string{"response_type", "-"}, status: 400, code: "invalid_request", text: "Missing required parameter: response_type"},
		{name: "foo", params: []string{"response_type", "foo"}, status: 501, code: "unsupported_response_type", text: "Unsupported response type: foo"},
		{name: "code code", params: []string{"response_type", "code code"}, status: 501, code: "unsupported_response_type", text: "Unsupported response type: code code"},
		{name: "unknown pushed request", params: []string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, status: 400, code: "invalid_request", text: "The request_uri is invalid, used or expired"},
		{name: "third party's screen_hint", params: []string{"client_id", "third", "screen_hint", "signup"}, status: 400, code: "invalid_request", text: "The parameter screen_hint is not allowed for third-party clients"},
		{name: "third party, unknown audience", params: []string{"client_id", "third", "audience", "https://nope.example"}, status: 403, code: "access_denied", text: "Service not found: https://nope.example"},
	}
	for _, c := range pages {
		t.Run("page/"+c.name, func(t *testing.T) {
			r := w.authorize(c.params...)
			r.TB = t
			r.page(c.status, c.code, c.text)
		})
	}
}

func TestAuthorizeErrorsByRedirect(t *testing.T) {
	w := newWorld(t, mock.Config{})
	redirects := []struct {
		name       string
		params     []string
		code, text string
	}{
		{"implicit not allowed", []string{"response_type", "token"}, "unauthorized_client", "Grant type 'implicit' not allowed for the client."},
		{"code not allowed", []string{"client_id", "machine", "redirect_uri", callback}, "", ""},
		{"unknown audience", []string{"audience", "https://nope.example"}, "access_denied", "Service not found: https://nope.example"},
		{"another tenant's userinfo", []string{"audience", "https://login.other.example/userinfo"}, "access_denied", "Service not found: https://login.other.example/userinfo"},
		{"unknown audience, lenient third party", []string{"client_id", "lenient-third", "audience", "https://nope.example"}, "access_denied", "Service not found: https://nope.example"},
		{"API needs a grant", []string{"audience", "https://guarded.example/"}, "invalid_request", `Client "demo" is not authorized to access resource server "https://guarded.example/".`},
		{"API denies all", []string{"audience", "https://closed.example/"}, "invalid_request", `Client "demo" is not authorized to access resource server "https://closed.example/".`},
		{"organization required", []string{"client_id", "b2b"}, "invalid_request", "parameter organization is required for this client"},
		{"organization unknown", []string{"client_id", "b2b", "organization", "org_nope"}, "invalid_request", "parameter organization is invalid: org_nope"},
		{"organization not allowed", []string{"organization", "org_acme"}, "invalid_request", "parameter organization is not allowed for this client"},
		{"not a member", []string{"client_id", "b2b", "organization", "org_acme", "login_hint", guest}, "access_denied", ""},
		{"PAR required", []string{"client_id", "pushing"}, "invalid_request", "The client must push its authorization requests to /oauth/par"},
		{"request object", []string{"request", "x"}, "request_not_supported", "The request parameter is not supported"},
		{"request_uri", []string{"request_uri", "https://x.example/"}, "request_uri_not_supported", "The request_uri parameter is not supported"},
		{"bad prompt", []string{"prompt", "never"}, "invalid_request", "Unsupported prompt: never"},
		{"none with others", []string{"prompt", "none login"}, "invalid_request", "prompt none cannot be combined with others"},
		{"max_age no number", []string{"max_age", "soon"}, "invalid_request", "max_age must be a number of seconds: soon"},
		{"max_age negative", []string{"max_age", "-1"}, "invalid_request", "max_age must be a number of seconds: -1"},
		{"response_mode", []string{"response_mode", "carrier_pigeon"}, "invalid_request", "Unsupported response mode: carrier_pigeon"},
		{"challenge missing", []string{"code_challenge_method", "S256"}, "invalid_request", "Missing required parameter: code_challenge"},
		{"method unknown", []string{"code_challenge", challenge(), "code_challenge_method", "S512"}, "invalid_request", "Unsupported code_challenge_method: S512"},
		{"challenge short", []string{"code_challenge", "short", "code_challenge_method", "S256"}, "invalid_request", "code_challenge must be 43 to 128 unreserved characters"},
		{"blocked", []string{"login_hint", "blocked@example.com"}, "unauthorized", "user is blocked"},
		{"tokens in a query", []string{"client_id", "hybrid", "response_type", "token", "response_mode", "query"}, "invalid_request", "response_mode query is not allowed for this response_type"},
		{"no nonce", []string{"client_id", "hybrid", "response_type", "id_token"}, "invalid_request", "Missing required parameter: nonce"},
		{"lenient third party's screen_hint", []string{"client_id", "lenient-third", "screen_hint", "signup"}, "invalid_request", "The parameter screen_hint is not allowed for third-party clients"},
	}
	for _, c := range redirects {
		t.Run("redirect/"+c.name, func(t *testing.T) {
			r := w.otherBrowser().authorize(c.params...)
			r.TB = t
			if c.code == "" { // machine has no callbacks, so the error stays on the page
				r.page(403, "unauthorized_client", "Callback URL mismatch.")
				return
			}
			text := c.text
			if text == "" {
				text = r.param("error_description")
			}
			r.redirectsError(c.code, text)
		})
	}
}

func TestImplicitErrorIsInTheFragment(t *testing.T) {
	r := newWorld(t, mock.Config{}).authorize("response_type", "token")
	want := callback + "#error=unauthorized_client&error_description=Grant%20type%20'implicit'%20not%20allowed%20for%20the%20client.&state=xyzABC123"
	if got := r.header.Get("Location"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParameterSentTwiceIsRefused(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, name := range []string{"state", "client_id", "redirect_uri", "scope"} {
		w.get(authorizeURL()+"&"+name+"=again").page(400, "invalid_request", "Parameter "+name+" was sent more than once")
	}
	r := httptest.NewRequest(http.MethodPost, issuer+"authorize?state=a", strings.NewReader("state=b"))
	w.do(r).page(400, "invalid_request", "Parameter state was sent more than once")
	w.get("/authorize?a=%zz").page(400, "invalid_request", "The query is not form-urlencoded")
}

func TestAuthorizeByPost(t *testing.T) {
	w := newWorld(t, mock.Config{})
	u, err := url.Parse(authorizeURL())
	if err != nil {
		t.Fatal(err)
	}
	if r := w.do(formRequest("/authorize", u.Query())); r.param("code") == "" || r.param("state") != "xyzABC123" {
		t.Errorf("Location %q", r.header.Get("Location"))
	}
}

func TestCustomErrorPage(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("PATCH", "/_mock/tenant", `{"error_page":{"url":"https://errors.example/?a=b"}}`)
	r := w.authorize("response_type", "-", "ui_locales", "de", "connection", "c")
	want := "https://errors.example/?a=b&client_id=demo&connection=c&lang=de&error=invalid_request" +
		"&error_description=Missing%20required%20parameter%3A%20response_type&tracking=" + r.header.Get("X-Auth0-RequestId")
	if got := r.header.Get("Location"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, path := range []string{"/authorize", "/oauth/token", "/userinfo", "/v2/logout", "/nowhere", "/u/login"} {
		r := w.otherBrowser().get(path)
		for name, want := range map[string]string{
			"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding, Origin",
			"Cache-Control": "private, no-store, no-cache, must-revalidate, post-check=0, pre-check=0, no-transform",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
		cookies := strings.Join(r.header.Values("Set-Cookie"), "\n")
		if !strings.Contains(cookies, "did=") || !strings.Contains(cookies, "did_compat=") || strings.Contains(cookies, "Secure") {
			t.Errorf("%s: cookies %s", path, cookies)
		}
		if r.header.Get("X-RateLimit-Limit") == "" && path != "/nowhere" && path != "/oauth/token" {
			t.Errorf("%s: no X-RateLimit-Limit", path)
		}
	}
	r := w.get("/nowhere")
	if r.status != http.StatusNotFound {
		t.Errorf("status %d", r.status)
	}
	if r := w.get("/oauth/token"); r.status != http.StatusNotFound {
		t.Errorf("GET /oauth/token: %d", r.status)
	}
}
