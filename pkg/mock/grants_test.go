package mock_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func TestClientCredentials(t *testing.T) {
	w := newWorld(t, mock.Config{})
	cc := func(client string, params ...string) reply {
		return w.post("/oauth/token", append([]string{
			"grant_type", "client_credentials", "client_id", client, "client_secret", client + "-secret", "audience", api,
		}, params...)...)
	}
	r := cc("demo")
	golden(t, "token_cc", r.body+"\n")
	golden(t, "claims_cc", part(t, r.tokens().Access, 1)+"\n")
	golden(t, "token_cc_no_scope", cc("machine").body+"\n")
	if got := cc("demo", "scope", "read:calls").tokens(); got.Scope != "read:calls" || claims(t, got.Access)["scope"] != "read:calls" {
		t.Errorf("scope %q", got.Scope)
	}
	cc("demo", "audience", "https://nope.example").refused(403, "access_denied", "Service not enabled within domain: https://nope.example")
	cc("demo", "audience", "").refused(403, "access_denied", "Non-global clients are not allowed access to APIv1")
	cc("demo", "scope", "read:calls admin:all").refused(403, "access_denied", "Client has not been granted scopes: admin:all")
	for client, aud := range map[string]string{"demo": "https://second.example/", "machine": "https://closed.example/"} {
		cc(client, "audience", aud).refused(403, "access_denied", `Client is not authorized to access "`+aud+
			`". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`)
	}
	cc("rotating").refused(403, "unauthorized_client", "Grant type 'client_credentials' not allowed for the client.")
	w.mustControl("PATCH", "/_mock/tenant", `{"default_audience":"`+api+`"}`)
	cc("demo", "audience", "").tokens()
}

func TestPassword(t *testing.T) {
	w := newWorld(t, mock.Config{})
	pw := func(params ...string) reply {
		return w.post("/oauth/token", append([]string{
			"grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "password",
		}, params...)...)
	}
	r := pw("scope", "openid")
	golden(t, "token_password", r.body+"\n")
	golden(t, "claims_id_password", part(t, r.tokens().ID, 1)+"\n")
	withAPI := pw("audience", api, "scope", "read:calls")
	golden(t, "token_password_api", withAPI.body+"\n")
	golden(t, "claims_password", part(t, withAPI.tokens().Access, 1)+"\n")
	pw("audience", issuer+"userinfo").tokens()
	pw("audience", "https://nope.example").refused(400, "invalid_request", "invalid audience specified for password grant exchange")
	pw("audience", "https://other.example/userinfo").refused(400, "invalid_request", "invalid audience specified for password grant exchange")
	pw("username", "").refused(400, "invalid_request", "Missing required parameter: username")
	pw("password", "").refused(400, "invalid_request", "Missing required parameter: password")
	pw("username", "blocked@example.com").refused(403, "unauthorized", "user is blocked")

	const realmGrant = "http://auth0.com/oauth/grant-type/password-realm"
	pw("grant_type", realmGrant, "realm", "Username-Password-Authentication").tokens()
	pw("grant_type", realmGrant).refused(400, "invalid_request", "Missing required parameter: realm")
	pw("grant_type", realmGrant, "realm", "nope").refused(400, "invalid_request", "connection nope does not exist")

	wrong := func(user string) reply { return pw("username", user, "password", "wrong") }
	for range 9 {
		wrong(agent).refused(403, "invalid_grant", "Wrong email or password.")
		wrong("absent@example.com").refused(403, "invalid_grant", "Wrong email or password.")
	}
	pw().tokens() // resets the counter of wrong passwords
	for range 5 {
		wrong(agent).refused(403, "invalid_grant", "Wrong email or password.")
		wrong(strings.ToUpper(agent)).refused(403, "invalid_grant", "Wrong email or password.")
	}
	const blocked = "Your account has been blocked after multiple consecutive login attempts."
	wrong(agent).refused(429, "too_many_attempts", blocked)
	pw().refused(429, "too_many_attempts", blocked)
	pw("username", strings.ToUpper(agent)).refused(429, "too_many_attempts", blocked)
	pw("username", guest).tokens()
	w.mustControl("POST", "/_mock/users", `{"email":"`+agent+`","password":"password"}`)
	pw().tokens()
}

func TestDeviceFlow(t *testing.T) {
	w := newWorld(t, mock.Config{})
	begin := func() map[string]any {
		r := w.post("/oauth/device/code", "client_id", "demo-spa", "scope", "openid offline_access", "audience", api)
		golden(t, "device_code", r.body+"\n")
		return decodeJSON[map[string]any](t, r.body)
	}
	poll := func(d map[string]any) reply {
		return w.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo-spa", "device_code", d["device_code"].(string))
	}
	step := func() { w.Advance(5 * time.Second) }
	const pending = "User has yet to authorize device code."

	d := begin()
	if code := d["user_code"].(string); !regexp.MustCompile(`^[B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4}$`).MatchString(code) {
		t.Errorf("user_code %q", code)
	}
	poll(d).refused(403, "authorization_pending", pending)
	w.Advance(4 * time.Second)
	poll(d).refused(429, "slow_down", "You are polling faster than the specified interval of 5 seconds.")
	step()
	poll(d).refused(403, "authorization_pending", pending)
	if page := w.get(d["verification_uri_complete"].(string)); !strings.Contains(page.body, `id="confirm"`) {
		t.Fatalf("no confirmation: %s", page.body)
	}
	typed := strings.ToLower(strings.Replace(d["user_code"].(string), "-", "", 1))
	if done := w.post("/activate", "user_code", typed, "action", "confirm"); !strings.Contains(done.body, "Your device is now connected.") {
		t.Fatalf("not connected: %s", done.body)
	}
	step()
	if tk := poll(d).tokens(); tk.Refresh == "" || tk.ID == "" || claims(t, tk.Access)["sub"] != claims(t, tk.ID)["sub"] {
		t.Errorf("%+v", tk)
	}
	step()
	poll(d).refused(403, "invalid_grant", "Invalid or expired device code.") // single use

	denied := begin()
	w.post("/activate", "user_code", denied["user_code"].(string), "action", "cancel")
	poll(denied).refused(403, "access_denied", "User cancelled the confirmation prompt.")

	expired := begin()
	w.Advance(900 * time.Second)
	if r := poll(expired); r.status != 403 || !strings.Contains(r.body, `"error":"expired_token"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	poll(expired).refused(403, "invalid_grant", "Invalid or expired device code.") // sent once
	for _, code := range []string{expired["user_code"].(string), "XXXX-XXXX", "é"} {
		if r := w.post("/activate", "user_code", code); r.status != http.StatusBadRequest {
			t.Errorf("/activate with %q: %d", code, r.status)
		}
	}
	fresh := begin()
	w.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo", "client_secret", "demo-secret", "device_code", fresh["device_code"].(string)).
		refused(403, "invalid_grant", "Invalid or expired device code.")
	w.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo-spa").refused(400, "invalid_request", "Missing required parameter: device_code")
	w.post("/oauth/device/code", "client_id", "rotating").refused(403, "unauthorized_client", "Grant type '"+deviceGrant+"' not allowed for the client.")
	w.post("/oauth/device/code", "client_id", "nope").refused(401, "access_denied", "Unauthorized")
	w.post("/oauth/device/code", "client_id", "demo-spa", "audience", "https://nope.example").
		refused(403, "access_denied", "Service not found: https://nope.example")
}

func TestDeviceFlowByForms(t *testing.T) {
	w := newWorld(t, mock.Config{Login: mock.LoginForm, DeviceInterval: time.Second})
	d := decodeJSON[map[string]any](t, w.post("/oauth/device/code", "client_id", "demo", "scope", "openid").body)
	if d["interval"] != 1.0 {
		t.Errorf("interval %v", d["interval"])
	}
	r := w.signIn(w.post("/activate", "user_code", d["user_code"].(string), "action", "confirm"), agent)
	if !strings.Contains(r.body, "Your device is now connected.") {
		t.Fatalf("%d %s", r.status, r.body)
	}
	w.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo", "client_secret", "demo-secret", "device_code", d["device_code"].(string)).tokens()
}

func TestTokenExchange(t *testing.T) {
	w := newWorld(t, mock.Config{})
	ex := func(params ...string) reply {
		return w.post("/oauth/token", append([]string{
			"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "exchanger", "client_secret", "exchanger-secret",
			"subject_token", agent, "subject_token_type", "urn:example:legacy-idp-token",
		}, params...)...)
	}
	golden(t, "token_exchange", ex().body+"\n")
	if cl := claims(t, ex("audience", api, "scope", "openid offline_access").tokens().Access); cl["scope"] != "openid" || !strings.HasPrefix(cl["sub"].(string), "auth0|") {
		t.Errorf("%v", cl)
	}
	ex("subject_token", "").refused(400, "invalid_request", "Missing required parameter: subject_token")
	ex("subject_token_type", "").refused(400, "invalid_request", "Missing required parameter: subject_token_type")
	ex("subject_token_type", "urn:ietf:params:oauth:token-type:access_token").
		refused(403, "unauthorized_client", "Grant type 'urn:ietf:params:oauth:grant-type:token-exchange' not allowed for the client.")
	for _, kind := range []string{"urn:ietf:params:oauth:token-type:jwt", "URN:auth0", "https://auth0.com/x", "http://okta.com"} {
		ex("subject_token_type", kind).refused(400, "invalid_request", "subject_token_type "+kind+" is in a reserved namespace")
	}
	ex("subject_token_type", "urn:ietfish").tokens()
	ex("audience", "https://nope.example").refused(403, "access_denied", "Service not found: https://nope.example")
	for range 10 {
		ex("subject_token", "bad").refused(403, "invalid_grant", "The subject token is invalid")
	}
	ex().refused(429, "too_many_attempts",
		"We have detected suspicious login behavior and further attempts will be blocked. Please contact the administrator.")
}

// Grants of Auth0 that the mock does not have are refused as those that the client may
// not use, even if its grant_types have them; unknown ones are not.
func TestAbsentGrants(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, grant := range []string{
		"urn:openid:params:grant-type:ciba",
		"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token", "urn:ietf:params:oauth:grant-type:jwt-bearer",
	} {
		w.mustControl("PATCH", "/_mock/clients/demo", `{"grant_types":["`+grant+`"]}`)
		w.post("/oauth/token", "grant_type", grant, "client_id", "demo", "client_secret", "demo-secret").
			refused(403, "unauthorized_client", "Grant type '"+grant+"' not allowed for the client.")
	}
	w.post("/oauth/token", "grant_type", "urn:x", "client_id", "demo", "client_secret", "demo-secret").
		refused(501, "unsupported_grant_type", "Unsupported grant type: urn:x")
}

func TestPushedAuthorizationRequests(t *testing.T) {
	w := newWorld(t, mock.Config{})
	push := func(params ...string) reply {
		return w.post("/oauth/par", append([]string{
			"client_id", "pushing", "client_secret", "pushing-secret", "response_type", "code", "redirect_uri", callback, "scope", "openid", "state", "pushed",
		}, params...)...)
	}
	uri := func(r reply) string {
		t.Helper()
		if r.status != http.StatusCreated || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return decodeJSON[map[string]any](t, r.body)["request_uri"].(string)
	}
	open := func(client, uri string, more ...string) reply {
		return w.get("/authorize?" + pairs(append([]string{"client_id", client, "request_uri", uri}, more...)...).Encode())
	}
	const used = "The request_uri is invalid, used or expired"
	golden(t, "par", push().body+"\n")

	one := uri(push())
	open("demo", one).page(400, "invalid_request", used) // a request of another client does not consume it
	r := open("pushing", one, "state", "other", "redirect_uri", "https://evil.example/", "scope", "email")
	if r.param("state") != "pushed" || !strings.HasPrefix(r.header.Get("Location"), callback+"?code=") {
		t.Errorf("parameters next to request_uri are used: %s", r.header.Get("Location"))
	}
	if got := w.exchange(r.param("code"), "client_id", "pushing", "client_secret", "pushing-secret").tokens().Scope; got != "openid" {
		t.Errorf("scope %q", got)
	}
	open("pushing", one).page(400, "invalid_request", used)
	late := uri(push())
	w.Advance(30 * time.Second)
	open("pushing", late).page(400, "invalid_request", used)

	push("client_secret", "x").refused(401, "access_denied", "Unauthorized")
	push("redirect_uri", "https://evil.example/").refused(403, "unauthorized_client",
		"Callback URL mismatch. https://evil.example/ is not in the list of allowed callback URLs")
	push("request_uri", one).refused(400, "invalid_request", "request_uri cannot be pushed")
	push("response_type", "foo").refused(501, "unsupported_response_type", "Unsupported response type: foo")
	push("nonce", strings.Repeat("x", 10<<10)).refused(400, "invalid_request", "The pushed request is larger than 10 KB")
}

func TestActions(t *testing.T) {
	w := newWorld(t, mock.Config{})
	actions := func(list string) { w.mustControl("PUT", "/_mock/actions", list) }
	tk := w.tokens("demo")

	actions(`[{"trigger":"post-login","deny":"msg"}]`)
	w.authorize().redirectsError("access_denied", "msg")
	w.authorize("client_id", "third").page(403, "access_denied", "msg")
	w.refresh("demo", tk.Refresh).refused(403, "access_denied", "msg")
	actions(`[{"trigger":"post-login","deny":"msg","error":"unauthorized","client_id":"rotating"}]`)
	w.authorize("client_id", "rotating").redirectsError("unauthorized", "msg")
	w.refresh("demo", tk.Refresh).tokens()
	actions(`[{"trigger":"credentials-exchange","deny":"Not authorized for this scope.","error":"invalid_scope"}]`)
	w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api).
		refused(400, "invalid_scope", "Not authorized for this scope.")
	actions(`[{"trigger":"post-login","interaction":true}]`)
	w.authorize("prompt", "none").redirectsError("interaction_required", "An action asks the user to interact")
	actions(`[{"trigger":"post-login","mfa":true}]`)
	w.authorize("prompt", "none").redirectsError("login_required", "Multifactor authentication required")
	r := w.refresh("demo", tk.Refresh)
	if r.status != 403 || !strings.HasPrefix(r.body, `{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"Fe26.2*`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	actions(`[{"trigger":"post-login","set_access_token":{"https://x.example/mail":"{{.User.Email}}","n":3,"bad":"{{.User.Nope}}"},
		"set_id_token":{"https://x.example/app":"{{.Client.Name}}"}},
		{"trigger":"post-login","set_access_token":{"n":4}}]`)
	tk = w.tokens("demo")
	if a, id := claims(t, tk.Access), claims(t, tk.ID); a["https://x.example/mail"] != agent || a["n"] != 4.0 || id["https://x.example/app"] != "Demo" ||
		!strings.HasPrefix(a["bad"].(string), "template: ") {
		t.Errorf("%v %v", a, id)
	}
	for _, bad := range []string{
		`[{"trigger":"login"}]`, `[{"trigger":"post-login","set_id_token":{"x":"{{"}}]`,
		`[{"trigger":"post-login","unknown":1}]`, `{`,
	} {
		if r := w.control("PUT", "/_mock/actions", bad); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}
