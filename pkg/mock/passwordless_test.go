package mock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const otpGrant = "http://auth0.com/oauth/grant-type/passwordless/otp"

// passwordlessTenant has the connections email and sms, and clients with the grant.
func passwordlessTenant() *tenant.File {
	e := richTenant()
	e.Connections = []tenant.Connection{
		{Name: "email", Strategy: "email"}, {Name: "sms", Strategy: "sms"}, {Name: "others", Strategy: "email", EnabledClients: []string{"rotating"}},
	}
	for i := range e.Clients {
		e.Clients[i].GrantTypes = append(e.Clients[i].GrantTypes, otpGrant)
	}
	e.Users = append(e.Users, tenant.User{UserID: "sms|1", PhoneNumber: "+4900", Connection: "sms"},
		tenant.User{UserID: "email|1", Email: "blocked-too@example.com", Connection: "email", Blocked: true})
	return e
}

func (w *world) startCode(params ...any) reply {
	w.Helper()
	return w.postJSON("/passwordless/start", append([]any{
		"client_id", "demo", "client_secret", "demo-secret", "connection", "email", "email", agent, "send", "code",
	}, params...)...)
}

func (w *world) startSMS(params ...any) reply {
	w.Helper()
	return w.startCode(append([]any{"connection", "sms", "email", nil, "send", nil, "phone_number", "+15550100"}, params...)...)
}

// lastMail returns the last message.
func (w *world) lastMail() mock.Mail {
	w.Helper()
	list := w.Mails()
	if len(list) == 0 {
		w.Fatal("no mail")
	}
	return list[len(list)-1]
}

func (w *world) otp(code string, params ...string) reply {
	w.Helper()
	form := pairs("grant_type", otpGrant, "client_id", "demo", "client_secret", "demo-secret", "username", agent, "otp", code, "realm", "email", "scope", scopes, "audience", api)
	for k, v := range pairs(params...) {
		form[k] = v
	}
	return w.do(formRequest("/oauth/token", form))
}

func TestPasswordless_CodeByMail(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	r := w.startCode("email", "Agent@example.com")
	got := decodeJSON[map[string]any](t, r.body)
	id, _ := got["_id"].(string)
	if r.status != 200 || len(id) != 24 || got["email"] != agent || got["email_verified"] != false || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s", r.status, r.body)
	}
	m := w.lastMail()
	if m.To != agent || m.Kind != "verification_code" || len(m.Code) != 6 || m.Link != "" || m.Connection != "email" || m.ClientID != "demo" {
		t.Errorf("%+v", m)
	}
	tk := w.otp(m.Code).tokens()
	cl := claims(t, tk.ID)
	if cl["sub"] != "email|"+id || cl["email_verified"] != true || tk.Refresh == "" {
		t.Errorf("%v", cl)
	}
	w.otp(m.Code).refused(403, "invalid_grant", "Wrong email or verification code.") // once
	if again := decodeJSON[map[string]any](t, w.startCode().body); again["_id"] != id || again["email_verified"] != true {
		t.Errorf("another user: %v", again)
	}
	w.otp(w.lastMail().Code, "username", "AGENT@example.com", "audience", "").tokens()
	w.mustControl("PATCH", "/_mock/tenant", `{"default_audience":"`+api+`"}`)
	w.startCode()
	if cl := claims(t, w.otp(w.lastMail().Code, "audience", "").tokens().Access); !strings.Contains(fmt.Sprint(cl["aud"]), api) {
		t.Errorf("aud %v", cl["aud"])
	}
}

func TestPasswordless_CodeBySMS(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	r := w.startSMS()
	if !strings.HasSuffix(r.body, `","phone_number":"+15550100","phone_verified":false}`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.otp("000000x", "username", "+15550100", "realm", "sms").refused(403, "invalid_grant", "Wrong phone number or verification code.")
	tk := w.otp(w.lastMail().Code, "username", "+15550100", "realm", "sms", "scope", "openid phone").tokens()
	if cl := claims(t, tk.ID); !strings.HasPrefix(cl["sub"].(string), "sms|") || cl["phone_number"] != "+15550100" || cl["phone_number_verified"] != true {
		t.Errorf("%v", cl)
	}
	if again := w.startSMS(); !strings.Contains(again.body, claims(t, tk.ID)["sub"].(string)[4:]) {
		t.Errorf("another user: %s", again.body)
	}
	if known := w.startSMS("phone_number", "+4900"); !strings.Contains(known.body, `"_id":"1"`) { // of the tenant file
		t.Errorf("%s", known.body)
	}
}

func TestPasswordless_CodesEnd(t *testing.T) {
	const wrong = "Wrong email or verification code."
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	w.startCode()
	first := w.lastMail().Code
	w.startCode()
	second := w.lastMail().Code
	if first != second {
		w.otp(first).refused(403, "invalid_grant", wrong) // a later one replaces it
	}
	w.Advance(3*time.Minute - time.Second)
	w.otp(second).tokens()
	w.startCode()
	w.Advance(3 * time.Minute)
	w.otp(w.lastMail().Code).refused(403, "invalid_grant", wrong)

	w.startCode()
	code := w.lastMail().Code
	w.otp(code, "username", guest).refused(403, "invalid_grant", wrong)
	w.otp(code, "realm", "sms").refused(403, "invalid_grant", "Wrong phone number or verification code.")
	for range 3 {
		w.otp("wrong").refused(403, "invalid_grant", wrong)
	}
	w.otp(code).refused(403, "invalid_grant", wrong) // three attempts

	w.startCode()
	w.Reset()
	w.otp("000000").refused(403, "invalid_grant", wrong)
	if n := len(w.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestPasswordless_TokenRefusals(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	w.startCode()
	code := w.lastMail().Code
	for _, name := range []string{"username", "otp", "realm"} {
		w.otp(code, name, "").refused(400, "invalid_request", "Missing required parameter: "+name)
	}
	w.otp(code, "realm", "nope").refused(400, "invalid_request", "connection nope does not exist")
	w.otp(code, "realm", "others").refused(400, "invalid_request", "connection others does not exist")
	w.otp(code, "audience", "https://nope.example").refused(403, "access_denied", "Service not found: https://nope.example")
	w.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login","deny":"not today"}]`)
	w.otp(code).refused(403, "access_denied", "not today")
	w.mustControl("PUT", "/_mock/actions", `[]`)
	w.mustControl("PATCH", "/_mock/clients/demo", `{"require_proof_of_possession":true}`)
	w.otp(code).refused(400, "invalid_request", "The client requires a proof of possession, for an API that takes DPoP")
	w.mustControl("PATCH", "/_mock/clients/demo", `{"require_proof_of_possession":false}`)
	w.startCode()
	w.otp(w.lastMail().Code).tokens()
	w.startCode("email", "blocked-too@example.com")
	w.otp(w.lastMail().Code, "username", "blocked-too@example.com").refused(403, "unauthorized", "user is blocked")
	w.mustControl("PATCH", "/_mock/clients/demo", `{"grant_types":["authorization_code"]}`)
	w.otp(code).refused(403, "unauthorized_client", "Grant type '"+otpGrant+"' not allowed for the client.")
}

func TestSignups_Limit(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	w.startSMS()
	w.SignUpAsMany()
	if r := w.startSMS("phone_number", "+2"); r.status != 400 || !strings.Contains(r.body, "too many users") {
		t.Errorf("one more: %d %s", r.status, r.body)
	}
	if r := w.startSMS(); r.status != 200 {
		t.Errorf("a user that exists: %d %s", r.status, r.body)
	}
}

func TestPasswordless_StartRefusals(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	for name, c := range map[string]struct {
		params            []any
		status            int
		code, description string
	}{
		"no client_id":          {[]any{"client_id", nil}, 400, "bad.client_id", "Missing required property: client_id"},
		"no connection":         {[]any{"connection", nil}, 400, "bad.connection", "Missing required property: connection"},
		"unknown members":       {[]any{"type", "code", "a", 1}, 400, "bad.request", "the following properties are not allowed: a, type"},
		"unknown client":        {[]any{"client_id", "nope"}, 401, "access_denied", "Unauthorized"},
		"wrong secret":          {[]any{"client_secret", "nope"}, 401, "access_denied", "Unauthorized"},
		"unknown connection":    {[]any{"connection", "nope"}, 400, "bad.connection", "Connection does not exist"},
		"database":              {[]any{"connection", database}, 400, "bad.connection", "The connection does not support user creation through this API. It must either be a passwordless connection"},
		"connection of another": {[]any{"connection", "others"}, 400, "bad.connection", "Connection is disabled"},
		"no email":              {[]any{"email", nil}, 400, "bad.email", "Missing required property: email"},
		"bad email":             {[]any{"email", "x"}, 400, "bad.email", "error in email - email format validation failed: x"},
		"no phone":              {[]any{"connection", "sms"}, 400, "bad.phone_number", "Missing required property: phone_number"},
		"bad phone":             {[]any{"connection", "sms", "phone_number", "0123"}, 400, "bad.phone_number", `String does not match pattern: ^\\+[0-9]{1,15}$`},
		"long phone":            {[]any{"connection", "sms", "phone_number", "+1234567890123456"}, 400, "bad.phone_number", `String does not match pattern: ^\\+[0-9]{1,15}$`},
		"letters":               {[]any{"connection", "sms", "phone_number", "+1a"}, 400, "bad.phone_number", `String does not match pattern: ^\\+[0-9]{1,15}$`},
		"plus":                  {[]any{"connection", "sms", "phone_number", "+"}, 400, "bad.phone_number", `String does not match pattern: ^\\+[0-9]{1,15}$`},
		"send":                  {[]any{"send", "pigeon"}, 400, "bad.send", "error in send - No enum match for: pigeon"},
		"secret is a number":    {[]any{"client_secret", 5}, 400, "bad.client_secret", "error in client_secret - invalid type: number (expected string)"},
		"email is a list":       {[]any{"email", []string{agent}}, 400, "bad.email", "error in email - invalid type: array (expected string)"},
		"connection is true":    {[]any{"connection", true}, 400, "bad.connection", "error in connection - invalid type: boolean (expected string)"},
		"authParams is a list":  {[]any{"authParams", []any{}}, 400, "bad.authParams", "error in authParams - invalid type: array (expected object)"},
		"phone is an object":    {[]any{"phone_number", map[string]any{}}, 400, "bad.phone_number", "error in phone_number - invalid type: object (expected string)"},
		"authParams":            {[]any{"authParams", "x"}, 400, "bad.authParams", "error in authParams - invalid type: string (expected object)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.seenBy(t).startCode(c.params...)
			want := `{"error":"` + c.code + `","error_description":"` + c.description + `"}`
			if r.status != c.status || r.body != want || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("got %d %s\nwant %d %s", r.status, r.body, c.status, want)
			}
		})
	}
	if n := len(w.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
	if r := w.startCode("client_secret", nil); r.status != 200 {
		t.Errorf("without a secret: %d %s", r.status, r.body)
	}
	w.mustControl("PATCH", "/_mock/tenant", `{"flags":{"enforce_client_authentication_on_passwordless_start":true}}`)
	if r := w.startCode("client_secret", nil); r.status != 401 {
		t.Errorf("enforced, without a secret: %d %s", r.status, r.body)
	}
	if r := w.startCode("client_secret", nil, "client_id", "demo-spa"); r.status != 200 {
		t.Errorf("enforced, a public client: %d %s", r.status, r.body)
	}
	for _, bad := range []string{`{"name":"x","strategy":"google-oauth2"}`, `{"strategy":"sms"}`} {
		if r := w.control("POST", "/_mock/connections", bad); r.status != 400 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}

func TestPasswordless_Link(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
	w.startCode("send", nil, "authParams", map[string]any{"scope": scopes, "state": "s", "audience": api, "redirect_uri": callback, "nonce": "n"})
	m := w.lastMail()
	if m.Kind != "login_link" || m.Code != "" {
		t.Errorf("%+v", m)
	}
	r := w.get(m.Link)
	if r.param("state") != "s" {
		t.Errorf("%s", r.header.Get("Location"))
	}
	if cl := claims(t, w.exchange(r.param("code")).tokens().ID); !strings.HasPrefix(cl["sub"].(string), "email|") || cl["nonce"] != "n" || cl["email_verified"] != true {
		t.Errorf("%v", cl)
	}
	if again := w.authorize("prompt", "none", "scope", scopes); again.param("code") == "" { // the browser has a session
		t.Errorf("%s", again.header.Get("Location"))
	}
	const expired = "The verification code has expired. Please try to login again."
	w.get(m.Link).page(400, "unauthorized", expired)
	w.startCode("send", "link")
	link := w.lastMail().Link
	w.get(strings.Replace(link, "connection=email", "connection=sms", 1)).redirects("invalid_request", "the connection was not found")
	w.get(strings.Replace(link, "connection=email", "connection=others", 1)).redirects("invalid_request", "the connection was not found")
	w.get(link+"&redirect_uri=https%3A%2F%2Fevil.example").page(403, "unauthorized_client",
		"Callback URL mismatch. https://evil.example is not in the list of allowed callback URLs")
	w.get(link+"&response_mode=magic").redirects("invalid_request", "Unsupported response mode: magic")
	w.get(link+"&scope=a&scope=b").page(400, "invalid_request", "Parameter scope was sent more than once")
	if r := w.get(link); r.param("code") == "" {
		t.Errorf("%s", r.header.Get("Location"))
	}
	if sms := w.startSMS("send", "link"); sms.status != 200 || w.lastMail().Code == "" {
		t.Errorf("%d %+v", sms.status, w.lastMail())
	}
}

// redirects asserts an error that redirects to the client.
func (r reply) redirects(code, description string) {
	r.Helper()
	if r.param("error") != code || r.param("error_description") != description {
		r.Errorf("%s", r.header.Get("Location"))
	}
}
