package mock_test

import (
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// lastHint returns the hint of the newest call.
func (w *world) lastHint() string {
	list := w.Journal().Find(mock.Query{})
	return list[len(list)-1].Hint
}

func TestHintsSayWhatToChange(t *testing.T) {
	token := func(params ...string) func(*world) { return func(w *world) { w.post("/oauth/token", params...) } }
	authorize := func(params ...string) func(*world) { return func(w *world) { w.authorize(params...) } }
	for _, c := range []struct {
		hint string
		call func(*world)
	}{
		{"add http://localhost:1/cb to callbacks of client demo, which has http://localhost:8484/callback", authorize("redirect_uri", "http://localhost:1/cb")},
		{"no client has the client_id absent; the clients are demo, ", authorize("client_id", "absent")},
		{"no API has the identifier https://absent/; the APIs are https://api.example.com/", authorize("audience", "https://absent/")},
		{"add implicit to grant_types of client demo, which has authorization_code", authorize("response_type", "token")},
		{"the request has no session cookie: no user logged in in this browser", authorize("prompt", "none")},
		{"the code is of another tenant, or was issued before a reset or restart", func(w *world) { w.exchange("garbage") }},
		{"the code was used 3.2 s ago by request 2; a code works once", func(w *world) {
			code := w.code()
			w.exchange(code)
			w.Advance(3200 * time.Millisecond)
			w.exchange(code)
		}},
		{"the code expired 50 min ago on the tenant's clock; it was issued by request 1", func(w *world) {
			code := w.code()
			w.Advance(time.Hour)
			w.exchange(code)
		}},
		{"the code was issued to client demo by request 1", func(w *world) {
			w.exchange(w.code(), "client_id", "rotating", "client_secret", "rotating-secret")
		}},
		{"send redirect_uri=" + callback + ", as the authorization request did", func(w *world) { w.exchange(w.code(), "redirect_uri", "-") }},
		{"code_verifier does not match the code_challenge (S256) of the login by request 1; is it of another login?", func(w *world) {
			w.exchange(w.code("code_challenge", challenge(), "code_challenge_method", "S256"), "code_verifier", verifier+"x")
		}},
		{"GET /_mock/clients shows the client_secret of client demo", token("grant_type", "password", "client_id", "demo", "client_secret", "x")},
		{"client demo is confidential: send its client_secret", token("grant_type", "password", "client_id", "demo")},
		{"user " + agent + " has another password", token("grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "x")},
		{"connection Username-Password-Authentication has no user absent", token("grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", "absent", "password", "x")},
		{"this token is number 1 of its family; number 2 replaced it 1 min ago, the last was issued by request 3; refresh_token.leeway of client abrupt is 0 s", func(w *world) {
			tk := w.tokens("abrupt")
			w.refresh("abrupt", tk.Refresh)
			w.Advance(time.Minute)
			w.refresh("abrupt", tk.Refresh)
		}},
		{"the family ended 2 min ago by request 3; log in again", func(w *world) {
			tk := w.tokens("demo")
			w.post("/oauth/revoke", "client_id", "demo", "client_secret", "demo-secret", "token", tk.Refresh)
			w.Advance(2 * time.Minute)
			w.refresh("demo", tk.Refresh)
		}},
		{`PATCH /_mock/users/` + agent + ` {"blocked":false} unblocks the user`, func(w *world) {
			tk := w.tokens("demo")
			w.mustControl("PATCH", "/_mock/users/"+agent, `{"blocked":true}`)
			w.refresh("demo", tk.Refresh)
		}},
		{"it expired 1 h ago on the tenant's clock", func(w *world) {
			access := w.tokens("demo").Access
			w.Advance(25 * time.Hour)
			w.userinfo(access)
		}},
		{"add http://localhost:1/ to allowed_logout_urls of client demo", func(w *world) { w.get("/v2/logout?client_id=demo&returnTo=http://localhost:1/") }},
		{"/oauth/token takes POST", func(w *world) { w.get("/oauth/token") }},
		{"a fault is armed for this call; DELETE /_mock/faults disarms all", func(w *world) {
			fail(w.TB, w.Tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultStatus, Status: 503})
			w.exchange("x")
		}},
		{"the browser sent no session cookie; start again at the application", func(w *world) { w.get("/u/login?state=x") }},
	} {
		w := newWorld(t, mock.Config{})
		c.call(w)
		if got := w.lastHint(); !strings.HasPrefix(got, c.hint) {
			t.Errorf("got  %q\nwant %q", got, c.hint)
		}
	}
}

// Auth0's bodies stay as they are; only the error page says what to change, below it.
func TestHintsAreInNoAnswerToAClient(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.exchange("garbage").refused(403, "invalid_grant", "Invalid authorization code")
	w.authorize("prompt", "none").redirectsError("login_required", "Login required")
	w.get("/v2/logout?client_id=demo&returnTo=http://localhost:1/")
	const hint = "add http://localhost:1/ to allowed_logout_urls of client demo"
	if !strings.Contains(w.lastHint(), hint) {
		t.Errorf("%q", w.lastHint())
	}
}
