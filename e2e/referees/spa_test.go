package referees_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// fresh is what an application got when it asked for a fresh token.
type fresh struct{ Token, Error string }

// startSPA starts a tenant, an application of a public client and a browser.
func startSPA(t *testing.T, scheme, name, sdk, client string) (*tenant, *chromium) {
	t.Helper()
	ten := startTenant(t)
	server, set := serveApp(t, scheme, name, sdk)
	app := server.URL
	issuer := ten.at(scheme)
	domain := strings.TrimSuffix(issuer, "/")
	if scheme == "https" {
		domain = ten.domain() // what the SDK makes https by itself
	}
	set(object{"issuer": issuer, "domain": domain, "clientId": client, "audience": audience})
	ten.addClient(client, object{
		"app_type": "spa", "token_endpoint_auth_method": "none", "callbacks": []string{app, app + "/"},
		"web_origins": []string{app}, "allowed_logout_urls": []string{app, app + "/"},
	})
	return ten, newChromium(t, ten, server)
}

// TestRefereeAuth0SPAJS: @auth0/auth0-spa-js in a browser renews silently, by
// the frame and by a rotating refresh token, whose replay ends the family.
func TestRefereeAuth0SPAJS(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const id = "spa"
			ten, tab := startSPA(t, scheme, "auth0-spa-js", "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js", id)
			renewsByFrame(t, ten, tab, id)
			rotates(t, ten, tab, id)

			// Logged out, also at the tenant: the frame must log in.
			tab.leave("logout()")
			tab.arrive()
			var got fresh
			tab.call("fresh()", &got)
			if got.Error != "login_required: Login required" {
				t.Errorf("after the logout: %+v", got)
			}
		})
	}
}

// renewsByFrame: sign-in, and then new tokens by prompt=none and web_message.
func renewsByFrame(t *testing.T, ten *tenant, tab *chromium, id string) {
	t.Helper()
	tab.leave("login({})")
	tab.signIn()
	tab.consent()
	var first, second fresh
	tab.call("fresh()", &first)
	tab.call("fresh()", &second)
	if first.Token == "" || second.Token == "" {
		t.Fatalf("no silent renewal: %q, %q", first.Error, second.Error)
	}
	tab.do(chromedp.Reload(), visible("#application"))
	var who string
	tab.call("session()", &who)
	if who != "agent@example.com" {
		t.Errorf("after a reload the session is %q's", who)
	}
	ten.wantCalls(id, "authorization_code 200", "authorization_code 200", "authorization_code 200", "authorization_code 200")
	var refusal struct {
		Status int
		Body   string
	}
	tab.call("userinfo('"+first.Token[:len(first.Token)-8]+"AAAAAAAA')", &refusal)
	if refusal.Status != http.StatusUnauthorized || refusal.Body != "Unauthorized" {
		t.Errorf("a forged token: %+v", refusal)
	}
}

// rotates: refresh tokens are rotated, in the SDK's worker and outside of it,
// the SDK keeps the newest, and an old one ends the family.
func rotates(t *testing.T, ten *tenant, tab *chromium, id string) {
	t.Helper()
	tab.leave("login({useRefreshTokens: true})")
	tab.consent() // offline_access is new
	var worker fresh
	tab.call("fresh()", &worker)
	if worker.Token == "" {
		t.Errorf("no refresh in the worker: %q", worker.Error)
	}
	tab.leave("login({useRefreshTokens: true, cacheLocation: 'localstorage'})")
	tab.arrive() // logged in and asked before
	var first, second, replayed, newest fresh
	var old, last string
	tab.call("kept()", &old)
	tab.call("fresh()", &first)
	tab.call("fresh()", &second)
	if first.Token == "" || second.Token == "" {
		t.Fatalf("no refresh: %q, %q", first.Error, second.Error)
	}
	if f := ten.families(); len(f) != 2 || f[0].Generation != 2 || f[1].Generation != 3 || f[1].Revoked != "" {
		t.Errorf("after two refreshes: %+v", f)
	}
	tab.call("kept('"+old+"')", &last)
	if old == "" || last == old {
		t.Fatal("the refresh token was not rotated")
	}
	tab.call("fresh()", &replayed)
	tab.call("kept('"+last+"')", &old)
	tab.call("fresh()", &newest)
	for what, got := range map[string]fresh{"a replayed refresh token": replayed, "the newest after the replay": newest} {
		if got.Error != "invalid_grant: Unknown or invalid refresh token." {
			t.Errorf("%s: %+v", what, got)
		}
	}
	ten.wantCalls(id, "authorization_code 200", "authorization_code 200", "authorization_code 200", "authorization_code 200",
		"authorization_code 200", "refresh_token 200",
		"authorization_code 200", "refresh_token 200", "refresh_token 200", "refresh_token "+refreshReused,
		"refresh_token 403 invalid_grant: the family is revoked: "+strings.TrimPrefix(refreshReused, "403 invalid_grant: reused: "))
}

// TestRefereeOIDCClientTS: oidc-client-ts in a browser renews in a frame and by
// a refresh token, revokes it, and logs out.
func TestRefereeOIDCClientTS(t *testing.T) {
	t.Parallel()
	const id = "spa"
	ten, tab := startSPA(t, "http", "oidc-client-ts", "oidc-client-ts/dist/browser/oidc-client-ts.min.js", id)
	tab.leave("login('openid profile email read:calls')")
	tab.signIn()
	tab.consent()
	var user struct {
		Email, State, Scope string
		Verified            bool
		Lifetime            int
	}
	tab.call("user()", &user)
	if user.Email != "agent@example.com" || !user.Verified || user.State != "kept by the SDK" ||
		user.Scope != "openid profile email read:calls" || user.Lifetime < 86300 {
		t.Errorf("logged in as %+v", user)
	}
	var framed, refreshed, revoked fresh
	tab.call("fresh()", &framed)
	tab.leave("login('openid profile email offline_access read:calls')")
	tab.consent()
	tab.call("fresh()", &refreshed)
	if framed.Token == "" || refreshed.Token == "" {
		t.Fatalf("no renewal: %q by the frame, %q by the refresh token", framed.Error, refreshed.Error)
	}
	var had bool
	tab.call("revoke()", &had)
	tab.call("fresh()", &revoked)
	if !had || revoked.Error != "invalid_grant: Unknown or invalid refresh token." {
		t.Errorf("a revoked refresh token: %+v", revoked)
	}
	ten.wantCalls(id, "authorization_code 200", "authorization_code 200", "authorization_code 200", "refresh_token 200",
		"refresh_token "+refreshRevoked)

	tab.leave("logout()") // with the ID token as a hint, the tenant does not ask
	tab.arrive()
	var after fresh
	tab.call("fresh()", &after)
	if after.Error != "login_required: Login required" {
		t.Errorf("after the logout: %+v", after)
	}
}
