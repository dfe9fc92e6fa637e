package mock_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// FuzzUserBodies sends hostile bodies to the endpoints for users' passwords and codes.
func FuzzUserBodies(f *testing.F) {
	paths := []string{"/dbconnections/signup", "/dbconnections/change_password", "/passwordless/start", "/mfa/challenge", "/u/reset-password"}
	for _, body := range []string{
		`{"client_id":"demo","connection":"` + database + `","email":"a@b","password":"long enough","user_metadata":{"a":{"b":[1]}}}`,
		`{"client_id":"demo","connection":"email","email":"a@b","send":"link","authParams":{"scope":"openid","redirect_uri":"http://localhost:8484/callback"}}`,
		`{"client_id":"demo","connection":"sms","phone_number":"+1","send":1}`, `{"client_id":"demo","client_secret":"demo-secret","mfa_token":"x","challenge_type":"oob"}`,
		`{"client_id":{},"connection":[],"email":null}`, `{"email":1e400}`, `[]`, `null`, `{`, ``, "\xff", `{"password":"` + strings.Repeat("é", 100) + `"}`,
	} {
		for i := range paths {
			f.Add(body, uint8(i), true)
		}
	}
	f.Add("client_id=demo&connection="+database+"&email=a%40b&password=x;y", uint8(0), false)
	f.Add("ticket=x&password=%zz", uint8(4), false)
	f.Fuzz(func(t *testing.T, body string, where uint8, isJSON bool) {
		w := newWorld(t, mock.Config{Tenant: passwordlessTenant()})
		r := request(http.MethodPost, paths[int(where)%len(paths)], body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if isJSON {
			r.Header.Set("Content-Type", "application/json")
		}
		got := w.do(r)
		documented(t, got)
		if strings.HasPrefix(got.header.Get("Content-Type"), "application/json") && got.body != "" && !json.Valid([]byte(got.body)) {
			t.Fatalf("not JSON: %s", got.body)
		}
		for _, m := range w.Mails() {
			if m.Link != "" {
				documented(t, w.get(m.Link))
			}
		}
		documented(t, w.get(authorizeURL()))
	})
}

// FuzzOTP sends hostile codes, addresses and links.
func FuzzOTP(f *testing.F) {
	w := newWorld(f, mock.Config{Tenant: passwordlessTenant()})
	w.startCode()
	for _, s := range []string{"000000", "", "\x00", "é", strings.Repeat("1", 1000), "a&b=c", "' or 1=1"} {
		f.Add(s, agent, "email")
		f.Add("1", s, "sms")
		f.Add("1", agent, s)
	}
	f.Fuzz(func(t *testing.T, code, address, realm string) {
		w := w.seenBy(t)
		documented(t, w.otp(code, "username", address, "realm", realm))
		form := pairs("client_id", "demo", "verification_code", code, "email", address, "connection", realm)
		documented(t, w.get("/passwordless/verify_redirect?"+form.Encode()))
	})
}

// FuzzMFA sends hostile second factors and challenges for a valid mfa_token.
func FuzzMFA(f *testing.F) {
	w := mfaWorld(f, totpMethod, tenant.AuthenticationMethod{Type: "push"}, tenant.AuthenticationMethod{Type: "recovery-code", RecoveryCode: "R"})
	token := w.passwordGrant().mfaToken()
	for i, s := range []string{"000000", "", "\x00", "é", strings.Repeat("9", 100), "otp oob", "-1"} {
		f.Add(uint8(i), s, s)
	}
	f.Fuzz(func(t *testing.T, where uint8, a, b string) {
		w := w.seenBy(t)
		grant := []string{mfaOTP, mfaOOB, mfaRecovery}[int(where)%3]
		documented(t, w.secondFactor(grant, token, "otp", a, "oob_code", a, "binding_code", b, "recovery_code", a))
		documented(t, w.secondFactor(grant, a, "otp", b))
		documented(t, w.challengeMFA(token, "challenge_type", a, "authenticator_id", b))
		documented(t, w.control("POST", "/_mock/push", a))
	})
}
