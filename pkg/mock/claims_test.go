package mock_test

import (
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

// A claim of an Action replaces the one of its name; a reserved one is dropped.
func TestClaimsOfActionsOccurOnce(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login",
		"set_id_token":{"name":"Custom","email":"x@example.com","iss":"https://evil.example/","org_name":"x","https://t.auth0.com/r":1,"plan":"gold"},
		"set_access_token":{"sub":"x","permissions":["all"],"plan":"gold"}}]`)
	tk := w.tokens("demo")
	raw := part(t, tk.ID, 1)
	for _, name := range []string{`"name"`, `"email"`, `"iss"`} {
		if n := strings.Count(raw, name+":"); n != 1 {
			t.Errorf("%s occurs %d times in %s", name, n, raw)
		}
	}
	id, a := claims(t, tk.ID), claims(t, tk.Access)
	if id["name"] != "Custom" || id["email"] != "x@example.com" || id["iss"] != issuer || id["plan"] != "gold" || id["org_name"] != nil || id["https://t.auth0.com/r"] != nil {
		t.Errorf("ID token %v", id)
	}
	if !strings.HasPrefix(raw, `{"nickname":"agent","name":"Custom"`) {
		t.Errorf("the place of a replaced claim: %s", raw)
	}
	if a["sub"] == "x" || a["permissions"] != nil || a["plan"] != "gold" {
		t.Errorf("access token %v", a)
	}
}

// /userinfo has the claims of the ID token as they were at the login.
func TestUserinfoHasTheClaimsOfTheLogin(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login","set_id_token":{"plan":"gold","name":"Custom","sub":"x"}}]`)
	jwt, opaque := w.tokens("demo").Access, w.tokens("demo", "audience", "-").Access
	front := w.authorize("client_id", "hybrid", "response_type", "token id_token", "nonce", "n").param("access_token")
	plain := w.tokens("demo", "scope", "read:calls")
	w.mustControl("PUT", "/_mock/actions", `[]`)
	for name, token := range map[string]string{"JWT": jwt, "opaque": opaque, "implicit": front} {
		cl := decodeJSON[map[string]any](t, w.userinfo(token).body)
		if cl["plan"] != "gold" || cl["name"] != "Custom" || cl["sub"] == "x" {
			t.Errorf("%s: %v", name, cl)
		}
	}
	if r := w.userinfo(plain.Access); r.status != 401 {
		t.Errorf("a token without openid: %d", r.status)
	}
	if cl := decodeJSON[map[string]any](t, w.userinfo(w.tokens("demo").Access).body); cl["plan"] != nil {
		t.Errorf("after the Action was removed: %v", cl)
	}
}

// resource selects an API on every grant, unless the tenant keeps it for others.
func TestResourceParameter(t *testing.T) {
	w := newWorld(t, mock.Config{})
	isJWT := func(token string) bool { return strings.Count(token, ".") == 2 }
	secret := []string{"client_id", "demo", "client_secret", "demo-secret"}
	grants := map[string]func(params ...string) reply{
		"code": func(params ...string) reply {
			return w.exchange(w.authorize(append([]string{"audience", "-"}, params...)...).param("code"))
		},
		"password": func(params ...string) reply {
			return w.post("/oauth/token", append(append([]string{"grant_type", "password", "username", agent, "password", "password", "scope", "openid"}, secret...), params...)...)
		},
		"device": func(params ...string) reply {
			d := decodeJSON[map[string]any](t, w.post("/oauth/device/code", append([]string{"client_id", "demo", "scope", "openid"}, params...)...).body)
			w.post("/activate", "user_code", d["user_code"].(string), "action", "confirm")
			return w.post("/oauth/token", append([]string{"grant_type", deviceGrant, "device_code", d["device_code"].(string)}, secret...)...)
		},
		"exchange": func(params ...string) reply {
			return w.post("/oauth/token", append([]string{
				"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "exchanger", "client_secret", "exchanger-secret",
				"subject_token", agent, "subject_token_type", "urn:x",
			}, params...)...)
		},
	}
	cc := func(params ...string) reply {
		return w.post("/oauth/token", append(append([]string{"grant_type", "client_credentials"}, secret...), params...)...)
	}
	for name, grant := range grants {
		if !isJWT(grant("resource", api).tokens().Access) {
			t.Errorf("%s: the token is opaque", name)
		}
		if !isJWT(grant("audience", api, "resource", "https://nope.example/").tokens().Access) {
			t.Errorf("%s: audience does not come first", name)
		}
	}
	cc("resource", api).tokens()
	w.mustControl("PATCH", "/_mock/tenant", `{"resource_parameter_profile":"audience"}`)
	for name, grant := range grants {
		if isJWT(grant("resource", api).tokens().Access) {
			t.Errorf("%s: resource selects an API", name)
		}
	}
	cc("resource", api).refused(403, "access_denied", "Non-global clients are not allowed access to APIv1")
	if r := w.control("PATCH", "/_mock/tenant", `{"resource_parameter_profile":"resource"}`); r.status != 400 {
		t.Errorf("an unknown profile: %d", r.status)
	}
}

// A token has one form: other texts of the same bytes are not valid.
func TestTokensHaveNoVariants(t *testing.T) {
	w := newWorld(t, mock.Config{})
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for name, token := range map[string]string{"JWT": w.tokens("demo").Access, "opaque": w.tokens("demo", "audience", "-").Access} {
		last := strings.IndexByte(alphabet, token[len(token)-1])
		opened := 0
		for bits := 1; bits < 16; bits++ {
			variant := token[:len(token)-1] + string(alphabet[last^bits])
			if w.userinfo(variant).status == 200 {
				opened++
			}
		}
		if opened > 0 {
			t.Errorf("%s: %d of 15 variants open /userinfo", name, opened)
		}
		for _, variant := range []string{token + "\n", token[:10] + "\n" + token[10:], token + "="} {
			if r := w.post("/userinfo", "access_token", variant); r.status == 200 {
				t.Errorf("%s: %q opens /userinfo", name, variant)
			}
		}
	}
	w.authorize().location()
	hint := w.tokens("demo").ID
	if r := w.get("/oidc/logout?id_token_hint=" + hint + "%0A"); r.status != 400 {
		t.Errorf("a logout with a variant of an ID token: %d", r.status)
	}
}

// A hint of another user than the session's needs a login as that user.
func TestStrictIDTokenHint(t *testing.T) {
	c := newConformance(t)
	mine := c.basicExchange(c.login()).ID
	other := conformance{c.otherBrowser()}
	theirs := other.exchange(other.consentAs(guest).param("code")).tokens().ID

	if r := c.authorize("audience", "-", "scope", "openid", "prompt", "none", "id_token_hint", mine); r.param("code") == "" {
		t.Errorf("the hint of the session's user: %s", r.header.Get("Location"))
	}
	c.Advance(48 * 3600e9) // an expired hint counts
	if r := c.authorize("audience", "-", "scope", "openid", "prompt", "none", "id_token_hint", mine); r.param("code") == "" {
		t.Errorf("an expired hint: %s", r.header.Get("Location"))
	}
	c.authorize("audience", "-", "scope", "openid", "prompt", "none", "id_token_hint", theirs).redirectsError("login_required", "Login required")
	c.authorize("audience", "-", "scope", "openid", "id_token_hint", "x.y.z").redirectsError("invalid_request", "The id_token_hint is invalid")
	r := c.signIn(c.authorize("audience", "-", "scope", "openid", "id_token_hint", theirs), agent) // not the user of the hint
	r.redirectsError("login_required", "Login required")
	r = c.signIn(c.authorize("audience", "-", "scope", "openid", "id_token_hint", theirs), guest)
	if r.location().Path == "/u/consent" {
		r = c.consent(r, "accept")
	}
	if r.param("code") == "" {
		t.Errorf("the user of the hint logged in: %s", r.header.Get("Location"))
	}

	w := newWorld(t, mock.Config{}) // profile auth0: not documented, ignored
	if r := w.authorize("id_token_hint", "x.y.z"); r.param("code") == "" {
		t.Errorf("%s", r.header.Get("Location"))
	}
}

// consentAs logs in as a user and consents.
func (c conformance) consentAs(login string) reply {
	c.Helper()
	return c.consent(c.signIn(c.authorize("audience", "-", "scope", "openid"), login), "accept")
}
