package mock_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

func (w *world) bearer(path, token string) reply {
	w.Helper()
	r := httptest.NewRequest(http.MethodGet, strings.TrimSuffix(issuer, "/")+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(r)
}

func (w *world) userinfo(token string) reply { w.Helper(); return w.bearer("/userinfo", token) }

func TestUserinfo(t *testing.T) {
	w := newWorld(t, mock.Config{})
	jwt, opaque := w.tokens("demo").Access, w.tokens("demo", "audience", "-").Access
	r := w.userinfo(opaque)
	golden(t, "userinfo", r.body+"\n")
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "false",
		"Access-Control-Expose-Headers": "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset", "X-RateLimit-Limit": "10",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(r.header.Get("ETag"), `W/"`) || w.userinfo(jwt).status != http.StatusOK {
		t.Errorf("ETag %q, or the JWT does not open /userinfo", r.header.Get("ETag"))
	}
	if w.post("/userinfo", "access_token", opaque).status != http.StatusOK || w.get("/userinfo?access_token="+url.QueryEscape(jwt)).status != http.StatusOK {
		t.Error("a token by body or query is not accepted")
	}
	if got := w.userinfo(w.tokens("demo", "scope", "openid email").Access).body; strings.Contains(got, "nickname") || !strings.Contains(got, "email_verified") {
		t.Errorf("scopes do not choose the claims: %s", got)
	}
}

func TestUserinfoRefusals(t *testing.T) {
	w := newWorld(t, mock.Config{})
	good := w.tokens("demo").Access
	other := newWorld(t, mock.Config{Issuer: "http://localhost:9999/"}).Tenant
	stranger := &world{TB: t, Tenant: other, jar: map[string]string{}}
	foreign := stranger.tokens("demo").Access
	signature := strings.LastIndex(good, ".") + 1
	const openid = "The access token is not meant for /userinfo: openid was not granted"
	for _, c := range []struct{ name, token, description string }{
		{"garbage", "invalid_token", "The access token signature could not be validated. "},
		{"no token", "", ""},
		{"no openid", w.tokens("demo", "scope", "read:calls").Access, openid},
		{"client credentials", w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api).tokens().Access, openid},
		{"an ID token", w.tokens("demo").ID, openid},
		{"another tenant's, by the same key", foreign, "The access token was issued by another issuer"},
		{"another tenant's opaque one", stranger.tokens("demo", "audience", "-").Access, "The access token signature"},
		{"alg none", "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", "The access token signature"},
		{"no signature", good[:signature], "The access token signature"},
		{"HS256 API", w.tokens("demo", "audience", "https://hs.example/").Access, "The access token signature"},
		{"another payload", strings.Split(good, ".")[0] + "." + strings.Split(foreign, ".")[1] + "." + good[signature:], "The access token signature"},
	} {
		r := w.userinfo(c.token)
		want := `Bearer realm="Users"`
		if c.description != "" {
			want += `, error="invalid_token", error_description="` + c.description
		}
		if got := r.header.Get("WWW-Authenticate"); r.status != 401 || r.body != "Unauthorized" || r.header.Get("Content-Type") != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d %q %q, want %q", c.name, r.status, r.body, got, want)
		}
	}
	for name, header := range map[string]string{"three words": "Bearer a b", "one word": "Bearer"} {
		r := httptest.NewRequest(http.MethodGet, issuer+"userinfo", nil)
		r.Header.Set("Authorization", header)
		if got := w.do(r); got.status != 400 || got.body != "Bad Request" {
			t.Errorf("%s: %d %q", name, got.status, got.body)
		}
	}
	r := httptest.NewRequest(http.MethodGet, issuer+"userinfo?access_token="+good, nil)
	r.Header.Set("Authorization", "Bearer "+good)
	if got := w.do(r); got.status != 400 {
		t.Errorf("twice: %d", got.status)
	}
	if got := w.post("/userinfo", "a", strings.Repeat("x", 1<<20)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %d", got.status)
	}
	w.Advance(24 * time.Hour)
	if got := w.userinfo(good).header.Get("WWW-Authenticate"); !strings.Contains(got, "The access token expired") {
		t.Errorf("expired: %q", got)
	}
	fresh := w.tokens("demo").Access
	w.mustControl("DELETE", "/_mock/users/"+agent, "")
	if got := w.userinfo(fresh).header.Get("WWW-Authenticate"); !strings.Contains(got, "The user does not exist") {
		t.Errorf("deleted: %q", got)
	}
}

func TestProtectedResource(t *testing.T) {
	w := newWorld(t, mock.Config{})
	call := func(token string) reply {
		t.Helper()
		r := w.bearer("/_mock/resource/v1/calls", token)
		line, ok := strings.CutSuffix(r.body, "\n")
		if !ok {
			t.Errorf("no newline after %s", r.body)
		}
		r.body = line
		return r
	}
	good := w.tokens("demo").Access
	if r := call(good); r.status != 200 || !strings.HasPrefix(r.body, `{"path":"v1/calls","sub":"auth0|`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	refused := func(name string, r reply, header, code, description string) {
		t.Helper()
		r.refused(401, code, description)
		if got := r.header.Get("WWW-Authenticate"); got != header {
			t.Errorf("%s: %q, want %q", name, got, header)
		}
	}
	invalid := func(d string) string {
		return `Bearer realm="api", error="invalid_token", error_description="` + d + `"`
	}
	refused("none", call(""), `Bearer realm="api"`, "invalid_token", "No access token was sent")
	for name, token := range map[string]string{"not a JWT": "not-a-jwt", "opaque": w.tokens("demo", "audience", "-").Access} {
		refused(name, call(token), invalid("The access token is malformed"), "invalid_token", "The access token is malformed")
	}
	refused("forged", call(good+"x"), invalid("The access token signature is invalid"), "invalid_token", "The access token signature is invalid")
	wrong := w.tokens("demo", "audience", "https://second.example/").Access
	refused("audience", call(wrong), invalid("The access token is for another audience"), "invalid_token", "The access token is for another audience")
	stranger := &world{TB: t, Tenant: newWorld(t, mock.Config{Issuer: "http://localhost:9999/"}).Tenant, jar: map[string]string{}}
	refused("issuer", call(stranger.tokens("demo").Access), invalid("The access token was issued by another issuer"),
		"invalid_token", "The access token was issued by another issuer")
	ineligible := w.otherBrowser().tokens("demo", "login_hint", guest).Access
	refused("role", call(ineligible), `Bearer realm="api", error="insufficient_scope"`, "insufficient_scope", "The user is not eligible: incorrect role")
	w.Advance(24 * time.Hour)
	refused("expired", call(good), invalid("The access token expired"), "invalid_token", "The access token expired")
}

func TestLogoutV2(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cases := []struct{ query, want string }{
		{"client_id=demo&returnTo=http://localhost:8484/", "http://localhost:8484/"},
		{"client_id=demo", "http://localhost:3000"},
		{"", "http://localhost:3000"},
		{"returnTo=http://localhost:3000/", "http://localhost:3000/"},
		{"client_id=demo&returnTo=" + url.QueryEscape("http://LOCALHOST:3000/?a=b#c"), "http://LOCALHOST:3000/?a=b#c"},
	}
	for _, c := range cases {
		w.authorize()
		if got := w.get("/v2/logout?" + c.query).header.Get("Location"); got != c.want {
			t.Errorf("%s: %q, want %q", c.query, got, c.want)
		}
		if w.jar["auth0"] != "" {
			t.Errorf("%s: the session cookie stays", c.query)
		}
	}
	w.authorize()
	for _, target := range []string{
		"https://evil.example", "http://localhost:8484", "http://localhost:8484/x", "http://localhost:3000.evil.example/", "http://localhost:3000@evil.example/",
		"http://u@localhost:3000/", "//localhost:3000/", "http:localhost:3000/", "http://localhost:3000\\@evil.example/", "http://localhoſt:3000/", "http://localhost:3000/%2e",
		" http://localhost:3000/", "http://localhost:3000/\r\nSet-Cookie: a=b", "javascript:alert(1)", "http://localhost:3000//", "%",
	} {
		w.get("/v2/logout?client_id=demo&returnTo="+url.QueryEscape(target)).page(400, "invalid_request",
			"The logout URL "+target+" is not in the list of allowed logout URLs")
	}
	if w.get("/v2/logout?returnTo=http://localhost:8484/").status != 400 {
		t.Error("a client's logout URL serves without the client")
	}
	w.get("/v2/logout?client_id=nope").page(400, "invalid_request", "Unknown client: nope")
	if r := w.authorize("prompt", "none", "scope", scopes); r.param("code") == "" {
		t.Errorf("a refused logout ended the session: %s", r.header.Get("Location"))
	}
}

func TestLogoutOIDC(t *testing.T) {
	w := newWorld(t, mock.Config{})
	id := w.tokens("demo").ID
	out := func(params ...string) reply { return w.get("/oidc/logout?" + pairs(params...).Encode()) }
	r := out("id_token_hint", id, "post_logout_redirect_uri", "http://localhost:3000/?x=y#f", "state", "a b&c")
	if got, want := r.header.Get("Location"), "http://localhost:3000/?x=y&state=a%20b%26c#f"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	if got := out("id_token_hint", id, "post_logout_redirect_uri", "http://localhost:3000").header.Get("Location"); got != "http://localhost:3000" {
		t.Errorf("without state: %q", got)
	}
	w.Advance(11 * time.Hour) // an expired ID token is a valid hint
	if r := w.post("/oidc/logout", "id_token_hint", id); r.status != 200 || !strings.Contains(r.body, "You are logged out.") {
		t.Errorf("%d %s", r.status, r.body)
	}
	stranger := &world{TB: t, Tenant: newWorld(t, mock.Config{Issuer: "http://localhost:9999/"}).Tenant, jar: map[string]string{}}
	for name, r := range map[string]reply{
		"another tenant": out("id_token_hint", stranger.tokens("demo").ID),
		"garbage":        out("id_token_hint", "x"),
		"forged":         out("id_token_hint", id[:len(id)-3]+"abc"),
		"access token":   out("id_token_hint", w.tokens("demo").Access),
		"another client": out("id_token_hint", id, "client_id", "rotating"),
		"bad target":     out("id_token_hint", id, "post_logout_redirect_uri", "https://evil.example/"),
		"no client":      out("post_logout_redirect_uri", "http://localhost:8484/"),
		"unknown client": out("client_id", "nope"),
	} {
		if r.status != 400 || r.header.Get("Location") != "" {
			t.Errorf("%s: %d %s", name, r.status, r.header.Get("Location"))
		}
	}
}

func TestLogoutAsksWithoutAHint(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.authorize()
	const target = "http://localhost:3000/"
	ask := func(params ...string) reply {
		return w.get("/oidc/logout?" + pairs(append([]string{"client_id", "demo", "post_logout_redirect_uri", target, "state", "s"}, params...)...).Encode())
	}
	signedIn := func() bool { return w.authorize("prompt", "none").param("code") != "" }
	for _, hint := range []string{"", "guess"} {
		r := ask("logout_hint", hint)
		state := r.state("/u/logout-consent")
		if page := w.get(r.location().String()); page.status != 200 || !signedIn() {
			t.Fatalf("%d, or signed out without being asked", page.status)
		}
		if r := w.post("/u/logout-consent?state="+state, "action", "decline"); r.status != 200 || !signedIn() {
			t.Errorf("declined: %d", r.status)
		}
		if r := w.post("/u/logout-consent?state="+state, "action", "accept"); r.status != 400 {
			t.Errorf("a page answered twice: %d", r.status)
		}
	}
	r := ask()
	if got := w.post("/u/logout-consent?state="+r.state("/u/logout-consent"), "action", "accept").header.Get("Location"); got != target+"?state=s" || signedIn() {
		t.Errorf("%q", got)
	}
	sid := claims(t, w.tokens("demo").ID)["sid"].(string)
	if got := ask("logout_hint", sid).header.Get("Location"); got != target+"?state=s" || signedIn() {
		t.Errorf("with the sid as hint: %q", got)
	}
}
