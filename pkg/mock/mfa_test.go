package mock_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const (
	mfaOTP      = "http://auth0.com/oauth/grant-type/mfa-otp"
	mfaOOB      = "http://auth0.com/oauth/grant-type/mfa-oob"
	mfaRecovery = "http://auth0.com/oauth/grant-type/mfa-recovery-code"

	// The key of RFC 6238 appendix B; at its times the passwords are known.
	totpSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// mfaWorld demands a second factor of its first user, who has the given ones. Its
// clock is at 2005-03-18T01:58:29Z, when the one-time password is 081804.
func mfaWorld(tb testing.TB, methods ...tenant.AuthenticationMethod) *world {
	tb.Helper()
	e := passwordlessTenant()
	for i := range e.Clients {
		e.Clients[i].GrantTypes = append(e.Clients[i].GrantTypes, mfaOTP, mfaOOB, mfaRecovery)
	}
	e.Users[0].AuthenticationMethods = methods
	e.Users[0].PhoneNumber = "+15550111"
	e.Actions = []tenant.Action{{Trigger: tenant.TriggerPostLogin, MFA: true}}
	return newWorld(tb, mock.Config{Tenant: e, Now: func() time.Time { return time.Unix(1111111109, 0) }})
}

var totpMethod = tenant.AuthenticationMethod{ID: "totp|dev_1", Type: "totp", TOTPSecret: totpSecret}

func (w *world) passwordGrant(params ...string) reply {
	w.Helper()
	form := pairs("grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", agent, "password", "password", "scope", scopes, "audience", api)
	for k, v := range pairs(params...) {
		form[k] = v
	}
	return w.do(formRequest("/oauth/token", form))
}

// mfaToken returns the mfa_token of a refused request.
func (r reply) mfaToken() string {
	r.Helper()
	o := decodeJSON[map[string]string](r, r.body)
	if r.status != 403 || o["error"] != "mfa_required" || !strings.HasPrefix(o["mfa_token"], "Fe26.2*") {
		r.Fatalf("%d %s", r.status, r.body)
	}
	return o["mfa_token"]
}

func (w *world) secondFactor(grant, token string, params ...string) reply {
	w.Helper()
	return w.post("/oauth/token", append([]string{"grant_type", grant, "client_id", "demo", "client_secret", "demo-secret", "mfa_token", token}, params...)...)
}

func (w *world) challengeMFA(token string, params ...any) reply {
	w.Helper()
	return w.postJSON("/mfa/challenge", append([]any{"client_id", "demo", "client_secret", "demo-secret", "mfa_token", token}, params...)...)
}

func TestMFA_OneTimePassword(t *testing.T) {
	const wrong = "Invalid otp_code."
	w := mfaWorld(t, totpMethod)
	token := w.passwordGrant().mfaToken()
	if r := w.challengeMFA(token, "challenge_type", "otp"); r.status != 200 || r.body != `{"challenge_type":"otp"}` || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.secondFactor(mfaOTP, token).refused(400, "invalid_request", "Missing required parameter: otp")
	w.secondFactor(mfaOTP, token, "otp", "000000").refused(403, "invalid_grant", wrong)
	tk := w.secondFactor(mfaOTP, token, "otp", "081804").tokens()
	if cl := claims(t, tk.Access); cl["gty"] != "password" || tk.Refresh == "" || tk.ID == "" {
		t.Errorf("%v %+v", cl, tk)
	}
	w.secondFactor(mfaOTP, token, "otp", "081804").refused(403, "invalid_grant", "Malformed mfa_token") // once
	if parent := w.Journal().Find(mock.Query{Grant: mfaOTP, Status: 200})[0].Parent; parent != w.Journal().Find(mock.Query{Grant: "password"})[0].ID {
		t.Errorf("parent %q", parent)
	}
	for drift, good := range map[time.Duration]bool{-60 * time.Second: false, -30 * time.Second: true, 30 * time.Second: true, 60 * time.Second: false} {
		w.Advance(drift)
		r := w.secondFactor(mfaOTP, w.passwordGrant().mfaToken(), "otp", "081804")
		if good != (r.status == 200) {
			t.Errorf("%s: %d %s", drift, r.status, r.body)
		}
		w.Advance(-drift)
	}
	none := mfaWorld(t)
	none.secondFactor(mfaOTP, none.passwordGrant().mfaToken(), "otp", "081804").refused(403, "invalid_grant", wrong)
}

func TestMFA_Tokens(t *testing.T) {
	const malformed = "Malformed mfa_token"
	w := mfaWorld(t, totpMethod)
	token := w.passwordGrant().mfaToken()
	w.secondFactor(mfaOTP, "").refused(400, "invalid_request", "Missing required parameter: mfa_token")
	w.secondFactor(mfaOTP, "garbage", "otp", "081804").refused(403, "invalid_grant", malformed)
	w.secondFactor(mfaOTP, token, "client_id", "rotating", "client_secret", "rotating-secret", "otp", "081804").refused(403, "invalid_grant", malformed)
	w.challengeMFA("garbage").refused(403, "invalid_grant", malformed)
	w.challengeMFA(token, "client_secret", "wrong").refused(401, "access_denied", "Unauthorized")
	w.challengeMFA("", "mfa_token", nil).refused(400, "invalid_request", "Missing required parameter: mfa_token")
	w.Advance(10*time.Minute - time.Second)
	w.secondFactor(mfaOTP, token, "otp", "x").refused(403, "invalid_grant", "Invalid otp_code.")
	w.Advance(time.Second)
	w.secondFactor(mfaOTP, token, "otp", "081804").refused(401, "expired_token", "mfa_token is expired")
	w.challengeMFA(token).refused(401, "expired_token", "mfa_token is expired")
	w.Reset()
	w.secondFactor(mfaOTP, token, "otp", "081804").refused(403, "invalid_grant", malformed)

	blocked := w.passwordGrant().mfaToken()
	w.mustControl("PATCH", "/_mock/users/"+agent, `{"blocked":true}`)
	w.secondFactor(mfaOTP, blocked, "otp", "081804").refused(403, "unauthorized", "user is blocked")
	w.mustControl("DELETE", "/_mock/users/"+agent, "")
	w.secondFactor(mfaOTP, blocked, "otp", "081804").refused(403, "invalid_grant", malformed)
	w.mustControl("PATCH", "/_mock/clients/demo", `{"grant_types":["password"]}`)
	w.secondFactor(mfaOTP, "x").refused(403, "unauthorized_client", "Grant type '"+mfaOTP+"' not allowed for the client.")
}

func TestMFA_AttemptsAreLimited(t *testing.T) {
	w := mfaWorld(t, totpMethod)
	token := w.passwordGrant().mfaToken()
	for range 10 {
		w.secondFactor(mfaOTP, token, "otp", "000000").refused(403, "invalid_grant", "Invalid otp_code.")
	}
	w.secondFactor(mfaOTP, w.passwordGrant().mfaToken(), "otp", "081804").
		refused(429, "too_many_attempts", "Your account has been blocked after multiple consecutive login attempts.")
}

func TestMFA_Challenge(t *testing.T) {
	const unsupported = "User does not have any enrolled authenticator with the supported challenge type ("
	w := mfaWorld(t, totpMethod)
	token := w.passwordGrant().mfaToken()
	w.challengeMFA(token, "challenge_type", "oob").refused(401, "unsupported_challenge_type", unsupported+"oob)")
	w.challengeMFA(token, "authenticator_id", "totp|dev_2").refused(401, "unsupported_challenge_type", unsupported+"otp oob)")
	for _, params := range [][]any{nil, {"challenge_type", "oob otp"}, {"authenticator_id", "totp|dev_1"}} {
		if r := w.challengeMFA(token, params...); r.body != `{"challenge_type":"otp"}` {
			t.Errorf("%v: %d %s", params, r.status, r.body)
		}
	}
}

// oobCode challenges the user and returns oob_code.
func (w *world) oobCode(token string, params ...any) string {
	w.Helper()
	r := w.challengeMFA(token, append([]any{"challenge_type", "oob"}, params...)...)
	o := decodeJSON[map[string]string](w.TB, r.body)
	if r.status != 200 || o["oob_code"] == "" {
		w.Fatalf("%d %s", r.status, r.body)
	}
	return o["oob_code"]
}

func TestMFA_CodeThatIsSent(t *testing.T) {
	w := mfaWorld(t, tenant.AuthenticationMethod{ID: "p", Type: "phone"}, tenant.AuthenticationMethod{ID: "q", Type: "phone", PhoneNumber: "+15550122"},
		tenant.AuthenticationMethod{ID: "e", Type: "email"}, tenant.AuthenticationMethod{ID: "f", Type: "email", Email: "second@example.com"})
	token := w.passwordGrant().mfaToken()
	for id, to := range map[string]string{"p": "+15550111", "q": "+15550122", "e": agent, "f": "second@example.com"} {
		r := w.challengeMFA(token, "challenge_type", "oob", "authenticator_id", id)
		if !regexp.MustCompile(`^\{"challenge_type":"oob","oob_code":"[\w-]{84}","binding_method":"prompt"\}$`).MatchString(r.body) {
			t.Errorf("%s", r.body)
		}
		if m := w.lastMail(); m.To != to || m.Kind != "mfa_code" || len(m.Code) != 6 || m.ClientID != "demo" {
			t.Errorf("%s: %+v", id, m)
		}
	}
	first := w.oobCode(token)
	code := w.oobCode(token)
	sent := w.lastMail().Code
	w.secondFactor(mfaOOB, token).refused(400, "invalid_request", "Missing required parameter: oob_code")
	w.secondFactor(mfaOOB, token, "oob_code", first, "binding_code", sent).refused(403, "invalid_grant", "Invalid oob_code.") // the last challenge counts
	w.secondFactor(mfaOOB, token, "oob_code", code).refused(400, "invalid_request", "Missing required parameter: binding_code")
	w.secondFactor(mfaOOB, token, "oob_code", code, "binding_code", sent+"0").refused(403, "invalid_grant", "Invalid binding_code.")
	w.secondFactor(mfaOOB, token, "oob_code", code, "binding_code", sent).tokens()
	w.secondFactor(mfaOOB, w.passwordGrant().mfaToken(), "oob_code", code, "binding_code", sent).refused(403, "invalid_grant", "Invalid oob_code.")
}

func TestMFA_PushNotification(t *testing.T) {
	const pending = "Authorization pending: please repeat the request in a few seconds."
	w := mfaWorld(t, tenant.AuthenticationMethod{Type: "push"})
	push := func(answer string) reply {
		return w.control("POST", "/_mock/push", `{"user":"`+agent+`","answer":"`+answer+`"}`)
	}
	if r := push("accept"); r.status != 400 || !strings.Contains(r.body, "has no push notification to answer") {
		t.Errorf("%d %s", r.status, r.body)
	}
	token := w.passwordGrant().mfaToken()
	code := w.oobCode(token)
	w.secondFactor(mfaOOB, token, "oob_code", code).refused(400, "authorization_pending", pending)
	for _, bad := range []string{`{"user":"absent","answer":"accept"}`, `{"user":"` + agent + `","answer":"maybe"}`} {
		if r := w.control("POST", "/_mock/push", bad); r.status != 400 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
	push("reject")
	w.secondFactor(mfaOOB, token, "oob_code", code).refused(400, "access_denied", "MFA Authorization rejected.")
	push("accept") // too late
	w.secondFactor(mfaOOB, token, "oob_code", code).refused(400, "access_denied", "MFA Authorization rejected.")
	code = w.oobCode(token)
	push("accept")
	w.secondFactor(mfaOOB, token, "oob_code", code).tokens()
	if n := len(w.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestMFA_RecoveryCode(t *testing.T) {
	w := mfaWorld(t, totpMethod, tenant.AuthenticationMethod{Type: "recovery-code", RecoveryCode: "RECOVER"})
	token := w.passwordGrant().mfaToken()
	w.secondFactor(mfaRecovery, token).refused(400, "invalid_request", "Missing required parameter: recovery_code")
	w.secondFactor(mfaRecovery, token, "recovery_code", "x").refused(403, "invalid_grant", "Invalid recovery_code.")
	r := w.secondFactor(mfaRecovery, token, "recovery_code", "RECOVER")
	r.tokens()
	next := regexp.MustCompile(`,"token_type":"Bearer","recovery_code":"([A-Z0-9]{24})"\}$`).FindStringSubmatch(r.body)
	if next == nil {
		t.Fatalf("%s", r.body)
	}
	token = w.passwordGrant().mfaToken()
	w.secondFactor(mfaRecovery, token, "recovery_code", "RECOVER").refused(403, "invalid_grant", "Invalid recovery_code.")
	w.secondFactor(mfaRecovery, token, "recovery_code", next[1]).tokens()
}

// Endpoints of features that the mock does not have answer as for a client without them.
func TestAbsentEndpoints(t *testing.T) {
	w := mfaWorld(t)
	const mfa, ciba = "Grant type '" + mfaOTP + "' not allowed for the client.", "Grant type 'urn:openid:params:grant-type:ciba' not allowed for the client."
	w.postJSON("/mfa/associate", "authenticator_types", []string{"otp"}).refused(403, "unauthorized_client", mfa)
	w.call("/mfa/authenticators", "Bearer x", "").refused(403, "unauthorized_client", mfa)
	w.post("/bc-authorize", "client_id", "demo").refused(403, "unauthorized_client", ciba)
	if body := w.get("/.well-known/openid-configuration").body; strings.Contains(body, "bc-authorize") || strings.Contains(body, "associate") {
		t.Errorf("%s", body)
	}
}

// The answer is that of the request that was interrupted, and its conditions hold
// until the end.
func TestMFA_ContinuesTheRequest(t *testing.T) {
	w := mfaWorld(t, totpMethod)
	w.mustControl("PUT", "/_mock/actions", `[]`)
	rotating, plain := w.tokens("rotating"), w.tokens("demo")
	w.mustControl("PUT", "/_mock/actions", `[{"trigger":"post-login","mfa":true}]`)

	tk := w.secondFactor(mfaOTP, w.refresh("demo", plain.Refresh).mfaToken(), "otp", "081804").tokens()
	if cl := claims(t, tk.Access); tk.Refresh != "" || cl["gty"] != "refresh_token" {
		t.Errorf("%+v %v", tk, cl)
	}
	as := []string{"client_id", "rotating", "client_secret", "rotating-secret", "otp", "081804"}
	token := w.refresh("rotating", rotating.Refresh).mfaToken()
	second := w.refresh("rotating", rotating.Refresh).mfaToken()
	next := w.secondFactor(mfaOTP, token, as...).tokens()
	if next.Refresh == "" || next.Refresh == rotating.Refresh {
		t.Errorf("%+v", next)
	}
	w.Advance(31 * time.Second) // the overlap is over
	w.secondFactor(mfaOTP, second, append(as, "otp", "050471")...).refused(403, "invalid_grant", "Unknown or invalid refresh token.")
	w.Advance(-31 * time.Second)

	w.startCode()
	code := w.lastMail().Code
	w.mustControl("PATCH", "/_mock/users/"+w.Users()[len(w.Users())-1].UserID, `{"authentication_methods":[{"type":"totp","totp_secret":"`+totpSecret+`"}]}`)
	otp := w.otp(code).mfaToken()
	w.otp(code).refused(403, "invalid_grant", "Wrong email or verification code.") // used
	if cl := claims(t, w.secondFactor(mfaOTP, otp, "otp", "081804").tokens().ID); cl["email_verified"] != true {
		t.Errorf("%v", cl)
	}

	proven := w.passwordGrant().mfaToken()
	w.mustControl("PATCH", "/_mock/clients/demo", `{"require_proof_of_possession":true}`)
	w.mustControl("POST", "/_mock/resource-servers", `{"identifier":"`+api+`","proof_of_possession":{"mechanism":"dpop"}}`)
	form := pairs("grant_type", mfaOTP, "client_id", "demo", "client_secret", "demo-secret", "mfa_token", proven, "otp", "081804")
	w.proven(form).refused(400, "invalid_request", "The client requires a proof of possession, for an API that takes DPoP")
	if tk := w.proven(form, newProver(t).proof("POST", tokenURL, w.Now(), nil)).tokens(); tk.Type != "DPoP" {
		t.Errorf("%+v", tk)
	}
}

// A list that a PATCH replaces keeps nothing of its old elements, also inside objects.
func TestPatchReplacesLists(t *testing.T) {
	w := newWorld(t, mock.Config{})
	w.mustControl("PATCH", "/_mock/clients/rotating", `{"refresh_token":{"policies":[{"audience":"https://rbac.example/"}]}}`)
	for _, c := range w.Clients() {
		if p := c.RefreshPolicy(); c.ClientID == "rotating" && (len(p.Policies) != 1 || p.Policies[0].Scope != nil || p.Leeway != 30) {
			t.Errorf("%+v", p)
		}
	}
}

func TestAuthenticationMethodsAreCheckedAndMasked(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":""}`:                                  `a method of user "auth0|58a95c78e3beee8314b84cfa" has no type`,
		`{"type":"magic"}`:                             `"magic" of user "auth0|58a95c78e3beee8314b84cfa" is not one of totp, push, phone, email, recovery-code`,
		`{"type":"totp"}`:                              `totp_secret of user "auth0|58a95c78e3beee8314b84cfa" is not Base32`,
		`{"type":"totp","totp_secret":"01"}`:           `totp_secret of user "auth0|58a95c78e3beee8314b84cfa" is not Base32`,
		`{"type":"recovery-code"}`:                     `a recovery-code of user "auth0|58a95c78e3beee8314b84cfa" has no recovery_code`,
		`{"type":"push"},{"type":"totp","secret":"x"}`: `totp_secret of user "auth0|58a95c78e3beee8314b84cfa" is not Base32`,
		`{"type":"totp","totp_secrets":"x"}`:           `users.authentication_methods.totp_secrets: unknown; did you mean totp_secret?`,
	} {
		w := newWorld(t, mock.Config{})
		r := w.control("POST", "/_mock/users", `{"email":"`+agent+`","authentication_methods":[`+in+`]}`)
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != 400 || !strings.Contains(got.Error, want) {
			t.Errorf("%s: %d %s", in, r.status, r.body)
		}
	}
	unknown := newWorld(t, mock.Config{}).mustControl("POST", "/_mock/users", `{"email":"`+agent+`","authentication_methods":[{"type":"push","secret":"hidden"}]}`).body
	if !strings.Contains(unknown, `"x-ignored":["users.authentication_methods.secret: no effect; the mock does not know this field"]`) || strings.Contains(unknown, "hidden") {
		t.Errorf("%s", unknown)
	}
	w := mfaWorld(t, totpMethod, tenant.AuthenticationMethod{Type: "recovery-code", RecoveryCode: "RECOVER"}, tenant.AuthenticationMethod{Type: "phone"})
	shown := w.mustControl("GET", "/_mock/users", "").body + w.mustControl("PATCH", "/_mock/users/"+agent, `{}`).body + fmt.Sprint(w.Users())
	if strings.Contains(shown, totpSecret) || strings.Contains(shown, "RECOVER") {
		t.Errorf("%s", shown)
	}
	if ids := w.Users()[0].AuthenticationMethods; !strings.HasPrefix(ids[1].ID, "recovery-code|dev_") || !strings.HasPrefix(ids[2].ID, "sms|dev_") {
		t.Errorf("%+v", ids)
	}
	w.mustControl("PATCH", "/_mock/users/"+agent, `{"authentication_methods":[{"type":"push"}]}`)
	if m := w.Users()[0].AuthenticationMethods; len(m) != 1 || m[0].Type != "push" || m[0].TOTPSecret != "" || !strings.HasPrefix(m[0].ID, "push|") {
		t.Errorf("%+v", m)
	}
}
