package mock_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const badRefresh = "Unknown or invalid refresh token."

func TestRefreshWithoutRotation(t *testing.T) {
	w := newWorld(t, mock.Config{})
	first := w.tokens("demo")
	w.Advance(25 * time.Hour)
	r := w.refresh("demo", first.Refresh)
	golden(t, "token_refresh", r.body+"\n")
	got := r.tokens()
	old, id := claims(t, first.ID), claims(t, got.ID)
	if id["sub"] != old["sub"] || id["iss"] != old["iss"] || id["aud"] != old["aud"] || id["sid"] != old["sid"] || id["nonce"] != nil {
		t.Errorf("ID token %v, first %v", id, old)
	}
	if at := claims(t, got.Access); at["gty"] != "refresh_token" || at["iat"] != float64(start.Add(25*time.Hour).Unix()) {
		t.Errorf("access token %v", at)
	}
	w.refresh("demo", first.Refresh).tokens() // it stays the same
	w.refresh("demo", "nope").refused(403, "invalid_grant", badRefresh)
	w.refresh("demo", "").refused(400, "invalid_request", "Missing required parameter: refresh_token")
}

func TestANonceIsNotRepeatedByARefresh(t *testing.T) {
	w := newWorld(t, mock.Config{})
	first := w.tokens("demo", "nonce", "n-0S6")
	if claims(t, first.ID)["nonce"] != "n-0S6" {
		t.Error("the nonce is lost")
	}
	if n := claims(t, w.refresh("demo", first.Refresh).tokens().ID)["nonce"]; n != nil {
		t.Errorf("nonce %v", n)
	}
}

func TestRefreshTokenOfAnotherClientIsRefused(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("rotating")
	w.refresh("demo", tk.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("rotating", tk.Refresh).tokens() // the refusal did not consume it
}

func TestRotationGolden(t *testing.T) {
	w := newWorld(t, mock.Config{})
	golden(t, "token_refresh_rotating", w.refresh("rotating", w.tokens("rotating").Refresh).body+"\n")
}

func TestReuseOfARotatedTokenRevokesTheFamily(t *testing.T) {
	w := newWorld(t, mock.Config{})
	first := w.tokens("abrupt")
	second := w.refresh("abrupt", first.Refresh).tokens()
	if second.Refresh == "" || second.Refresh == first.Refresh {
		t.Fatalf("not rotated: %q", second.Refresh)
	}
	other := w.tokens("abrupt") // another family of the same user
	w.refresh("abrupt", first.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("abrupt", second.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("abrupt", other.Refresh).tokens()
	f := w.Families()
	if len(f) != 2 || !strings.Contains(f[0].Revoked, "ferrt") && !strings.Contains(f[1].Revoked, "ferrt") {
		t.Errorf("families %+v", f)
	}
}

func TestRotationOverlap(t *testing.T) {
	w := newWorld(t, mock.Config{})
	first := w.tokens("rotating")
	second := w.refresh("rotating", first.Refresh).tokens()
	w.Advance(30 * time.Second)
	again := w.refresh("rotating", first.Refresh).tokens() // the last instant of the overlap
	if again.Refresh == second.Refresh || again.Refresh == first.Refresh {
		t.Error("the overlap does not yield another token")
	}
	third := w.refresh("rotating", again.Refresh).tokens() // same generation as second
	w.refresh("rotating", second.Refresh).tokens()         // the previous generation, inside its overlap
	w.refresh("rotating", first.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("rotating", third.Refresh).refused(403, "invalid_grant", badRefresh) // the one before revoked the family

	late := w.tokens("rotating")
	newest := w.refresh("rotating", late.Refresh).tokens()
	w.Advance(31 * time.Second)
	w.refresh("rotating", late.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("rotating", newest.Refresh).refused(403, "invalid_grant", badRefresh)
}

func TestRefreshLifetimes(t *testing.T) {
	idle := newWorld(t, mock.Config{})
	tk := idle.tokens("rotating")
	idle.Advance(99999 * time.Second)
	tk = idle.refresh("rotating", tk.Refresh).tokens()
	idle.Advance(100000 * time.Second)
	idle.refresh("rotating", tk.Refresh).refused(403, "invalid_grant", badRefresh)

	absolute := newWorld(t, mock.Config{})
	tk = absolute.tokens("rotating")
	for range 11 { // rotation does not extend the absolute lifetime
		absolute.Advance(90000 * time.Second)
		tk = absolute.refresh("rotating", tk.Refresh).tokens()
	}
	absolute.Advance(10000 * time.Second)
	absolute.refresh("rotating", tk.Refresh).refused(403, "invalid_grant", badRefresh)

	endless := newWorld(t, mock.Config{})
	tk = endless.tokens("demo")
	endless.Advance(50 * 365 * 24 * time.Hour)
	endless.refresh("demo", tk.Refresh).tokens()
}

func TestOldestOfMoreThan200IsDropped(t *testing.T) {
	w := newWorld(t, mock.Config{})
	first := w.tokens("demo")
	second := w.tokens("demo")
	foreign := w.otherBrowser().tokens("demo", "login_hint", guest)
	for range 198 {
		w.tokens("demo")
	}
	w.refresh("demo", first.Refresh).tokens() // number 200 is within the limit
	w.tokens("demo")
	w.refresh("demo", first.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("demo", second.Refresh).tokens()
	w.refresh("demo", foreign.Refresh).tokens()
	if n := len(w.Families()); n != 201 {
		t.Errorf("%d families", n)
	}
}

func TestRefreshScope(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo", "scope", scopes+" read:calls")
	for asked, want := range map[string]string{
		"openid profile offline_access": "openid profile offline_access",
		"openid admin:all":              "openid",
		"openid write:calls":            "openid", // a scope of the API that was not granted
		"read:calls openid":             "read:calls openid",
		"":                              scopes + " read:calls",
		"read:nothing":                  "",
	} {
		r := w.refresh("demo", tk.Refresh, "scope", asked)
		got := r.tokens()
		claim, _ := claims(t, got.Access)["scope"].(string)
		if got.Scope != want || claim != want {
			t.Errorf("asked %q: got %q and %q, want %q", asked, got.Scope, claim, want)
		}
		if !strings.Contains(r.body, `"scope":"`+want+`"`) { // absent means as requested
			t.Errorf("asked %q: %s", asked, r.body)
		}
	}
	if got := w.refresh("demo", tk.Refresh, "scope", "read:calls").tokens(); got.ID != "" {
		t.Error("an ID token without openid")
	}
}

// Every grant returns scope when it grants less than was asked for.
func TestScopeIsReturnedWhenItIsNarrowed(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for asked, told := range map[string]string{
		"read:calls":              "",
		"read:calls read:nothing": `"scope":"read:calls"`,
		"read:nothing":            `"scope":""`,
	} {
		body := w.exchange(w.code("scope", asked)).body
		if told == "" && strings.Contains(body, `"scope"`) || !strings.Contains(body, told) {
			t.Errorf("asked %q: %s", asked, body)
		}
	}
}

func TestRefreshForAnotherAudience(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("rotating")
	other := w.refresh("rotating", tk.Refresh, "audience", "https://second.example/").tokens()
	cl := claims(t, other.Access)
	if aud := cl["aud"].([]any); aud[0] != "https://second.example/" || other.Expires != 600 || cl["scope"] != scopes+" ping" {
		t.Errorf("%v, expires_in %d", cl, other.Expires)
	}
	back := w.refresh("rotating", other.Refresh).tokens()
	if aud := claims(t, back.Access)["aud"].([]any); aud[0] != api {
		t.Errorf("the family changed its audience: %v", aud)
	}
	w.refresh("rotating", back.Refresh, "audience", "https://rbac.example/").refused(403, "access_denied", "Service not found: https://rbac.example/")
	w.refresh("rotating", back.Refresh, "audience", api).tokens()
}

func TestRefreshOfADeletedOrBlockedUser(t *testing.T) {
	w := newWorld(t, mock.Config{})
	tk := w.tokens("demo")
	w.mustControl("PATCH", "/_mock/users/"+agent, `{"blocked":true}`)
	w.refresh("demo", tk.Refresh).refused(403, "invalid_grant", "user is blocked")
	w.mustControl("PATCH", "/_mock/users/"+agent, `{"blocked":false}`)
	w.refresh("demo", tk.Refresh).tokens()
	w.mustControl("DELETE", "/_mock/users/"+agent, "")
	w.refresh("demo", tk.Refresh).refused(403, "invalid_grant", "The refresh_token was generated for a user who doesn't exist anymore.")
}

func TestRefreshFollowsRoles(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("POST", "/_mock/resource-servers", `{"name":"RBAC","identifier":"https://rbac.example/","enforce_policies":true,
		"allow_offline_access":true,"scopes":[{"value":"read:x"}]}`)
	tk := w.tokens("demo", "audience", "https://rbac.example/", "scope", "openid offline_access read:x")
	if !strings.Contains(tk.Scope, "read:x") {
		t.Fatalf("scope %q", tk.Scope)
	}
	w.mustControl("PATCH", "/_mock/users/"+agent, `{"roles":[]}`)
	if got := w.refresh("demo", tk.Refresh).tokens().Scope; strings.Contains(got, "read:x") {
		t.Errorf("scope %q after the role was taken away", got)
	}
}

func TestRevocation(t *testing.T) {
	w := newWorld(t, mock.Config{})
	revoke := func(params ...string) reply { return w.post("/oauth/revoke", params...) }
	demo := []string{"client_id", "demo", "client_secret", "demo-secret"}
	tk, other := w.tokens("demo"), w.tokens("demo")
	foreign := w.tokens("rotating")
	for name, token := range map[string]string{"unknown": "nope", "another client's": foreign.Refresh, "an access token": tk.Access, "good": tk.Refresh, "again": tk.Refresh} {
		if r := revoke(append(demo, "token", token)...); r.status != http.StatusOK || r.body != "" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %q", name, r.status, r.body)
		}
	}
	w.refresh("demo", tk.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("demo", other.Refresh).tokens()
	w.refresh("rotating", foreign.Refresh).tokens()
	revoke(demo...).refused(400, "invalid_request", "Missing required parameter: token")
	revoke("client_id", "demo", "client_secret", "x", "token", "x").refused(401, "invalid_client", "Unauthorized")
	if r := revoke("client_id", "demo-spa", "token", "x"); r.status != http.StatusOK {
		t.Errorf("public client: %d", r.status)
	}
	w.mustControl("PATCH", "/_mock/tenant", `{"flags":{"revoke_refresh_token_grant":true}}`)
	a, b, elsewhere := w.tokens("demo"), w.tokens("demo"), w.tokens("demo", "audience", "-")
	revoke(append(demo, "token", a.Refresh)...)
	w.refresh("demo", b.Refresh).refused(403, "invalid_grant", badRefresh)
	w.refresh("demo", elsewhere.Refresh).tokens()
}
