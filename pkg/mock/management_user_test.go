package mock_test

import (
	"strings"
	"testing"
)

// userOf logs a user in for the Management API and returns the user's token and id.
func (m *manager) userOf(scope string) (own *manager, user string) {
	m.Helper()
	t := m.world.tokens("demo", "audience", issuer+"api/v2/", "scope", scope)
	return &manager{m.world, t.Access}, claims(m.TB, t.Access)["sub"].(string)
}

func TestManagement_UserTokenHasScopesOfTheCurrentUserOnly(t *testing.T) {
	m := newManager(t)
	const asked = "openid offline_access read:current_user update:current_user_metadata create:current_user_device_credentials read:users update:users read:clients"
	const want = "openid read:current_user update:current_user_metadata create:current_user_device_credentials"
	byCode := m.tokens("demo", "audience", issuer+"api/v2/", "scope", asked)
	byPassword := m.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret",
		"username", "agent@example.com", "password", "password", "audience", issuer+"api/v2/", "scope", asked).tokens()
	for name, got := range map[string]tokens{"code": byCode, "password": byPassword} {
		if got.Scope != want || claims(t, got.Access)["scope"] != want || got.Refresh != "" {
			t.Errorf("%s: scope %q, refresh token %q", name, got.Scope, got.Refresh)
		}
		if aud := claims(t, got.Access)["aud"].([]any); len(aud) != 2 || aud[0] != issuer+"api/v2/" || aud[1] != issuer+"userinfo" {
			t.Errorf("%s: audiences %v", name, aud)
		}
	}
	if r := m.authorize("audience", "https://elsewhere.example.com/api/v2/"); r.param("error") != "access_denied" {
		t.Errorf("the Management API of another tenant: %s", r.header.Get("Location"))
	}
}

// Otherwise an action could give a user's token every scope.
func TestManagement_TokenHasNamespacedClaimsOfActionsOnly(t *testing.T) {
	m := newManager(t)
	m.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login","set_access_token":{
		"scope":"read:users","email":"x","plan":"gold","https://x.example/plan":"gold","urn:x:plan":"gold"}}]`)
	own, _ := m.userOf("openid read:current_user")
	got := claims(t, own.token)
	if got["scope"] != "openid read:current_user" || got["email"] != nil || got["plan"] != nil || got["https://x.example/plan"] != "gold" || got["urn:x:plan"] != "gold" {
		t.Errorf("%v", got)
	}
	if got := claims(t, m.world.tokens("demo").Access); got["plan"] != "gold" {
		t.Errorf("of another API: %v", got)
	}
}

func TestManagement_UserTokenOpensTheUsersOwnProfileOnly(t *testing.T) {
	m := newManager(t)
	own, user := m.userOf("openid read:current_user create:current_user_metadata update:current_user_identities")
	other := m.id("/users", `{"connection":"Username-Password-Authentication","email":"x@example.com","password":"Passw0rd-x"}`)
	if got := own.must("GET", "/users/"+escape(user), ""); got["email"] != "agent@example.com" {
		t.Errorf("the own profile: %v", got)
	}
	if got := own.must("PATCH", "/users/"+escape(user), `{"user_metadata":{"theme":"dark"}}`); got["user_metadata"].(map[string]any)["theme"] != "dark" {
		t.Errorf("the own metadata: %v", got)
	}
	for _, c := range []struct{ name, method, path, body, needs string }{
		{"another user", "GET", "/users/" + escape(other), "", "read:current_user,read:user_idp_tokens,read:users"},
		{"another user's metadata", "PATCH", "/users/" + escape(other), `{"user_metadata":{}}`, "update:current_user_metadata,update:users,update:users_app_metadata"},
		{"all users", "GET", "/users", "", "read:user_idp_tokens,read:users"},
		{"app_metadata", "PATCH", "/users/" + escape(user), `{"app_metadata":{"plan":"gold"}}`, "update:users"},
		{"the password", "PATCH", "/users/" + escape(user), `{"password":"Passw0rd-y"}`, "update:users"},
		{"an account without its token", "POST", "/users/" + escape(user) + "/identities", `{"provider":"auth0","user_id":"` + strings.TrimPrefix(other, "auth0|") + `"}`, "update:users"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := (&manager{own.world.seenBy(t), own.token}).call(c.method, c.path, c.body)
			want := `{"statusCode":403,"error":"Forbidden","message":"Insufficient scope, expected any of: ` + c.needs + `","errorCode":"insufficient_scope"}`
			if got.status != 403 || got.body != want {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}
