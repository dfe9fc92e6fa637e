package referees_test

import (
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// python returns a Python that has Debian's packages: the system's, where another
// one comes first in the path.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import authlib, cryptography, jwt, pytest, requests").Run() == nil {
			return name
		}
	}
	lacking(t, "python3 with authlib, PyJWT, cryptography, pytest and requests")
	return ""
}

// startPython runs python/NAME.py as startScript runs npm/NAME.mjs.
func startPython(t *testing.T, ten *tenant, name string, settings object) *script {
	t.Helper()
	env := []string{"REQUESTS_CA_BUNDLE=" + ten.ca, "SSL_CERT_FILE=" + ten.ca, "PYTHONDONTWRITEBYTECODE=1"}
	if strings.HasPrefix(settings["issuer"].(string), "http:") {
		env = append(env, "AUTHLIB_INSECURE_TRANSPORT=1")
	}
	return start(t, name+".py", "python", env, settings, python(t), name+".py")
}

// reason is how authlib reads a refusal.
type reason struct{ Error, Description string }

// TestRefereeAuthlib: authlib logs in by code, PKCE and nonce, verifies the ID token,
// refreshes and revokes.
func TestRefereeAuthlib(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const callback = "http://localhost:3000/callback"
			ten := startTenant(t)
			ten.addClient("demo", object{
				"callbacks": []string{callback}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
			})
			s := startPython(t, ten, "authlib-client", object{
				"issuer": ten.at(scheme), "clientId": "demo", "clientSecret": "demo-secret", "redirectUri": callback, "audience": audience,
			})
			person := newBrowser(t, ten).until(callback)
			for range 2 {
				var q question
				s.read(&q)
				s.answer(person.open(q.Open).url.String())
			}
			var got struct {
				Email, Scope, Machine                                  string
				Rotated                                                bool
				CodeUsedTwice, RefreshRevoked, WrongSecret, OtherNonce reason
			}
			s.read(&got)
			if got.Email != "agent@example.com" || got.Scope != "openid profile email offline_access read:calls" || !got.Rotated || got.Machine != "read:calls" {
				t.Errorf("logged in as %q with scope %q, rotated %v, the machine has %q", got.Email, got.Scope, got.Rotated, got.Machine)
			}
			for what, r := range map[string][2]reason{
				"a used code":             {got.CodeUsedTwice, {"invalid_grant", "Invalid authorization code"}},
				"a revoked refresh token": {got.RefreshRevoked, {"invalid_grant", "Unknown or invalid refresh token."}},
				"a wrong secret":          {got.WrongSecret, {"access_denied", "Unauthorized"}},
			} {
				if r[0] != r[1] {
					t.Errorf("%s: refused with %+v, not %+v", what, r[0], r[1])
				}
			}
			if got.OtherNonce.Error != "invalid_claim" {
				t.Errorf("another nonce: %+v", got.OtherNonce)
			}
			ten.wantCalls("demo", "authorization_code 200", "refresh_token 200", "client_credentials 200", "authorization_code 200",
				"authorization_code "+codeUsed, "refresh_token "+refreshRevoked, "client_credentials 401 access_denied: wrong client_secret")
		})
	}
}

// TestRefereePyJWT: an API takes the tenant's access tokens, and refuses those that
// were forged, that expired or are not valid yet, and those of another API or issuer.
func TestRefereePyJWT(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ten := startTenant(t)
			ten.addClient("caller", object{"grant_types": []string{"password"}})
			ten.control(http.MethodPost, "resource-servers", object{"name": "Other", "identifier": "https://other.example.com/"}, nil)
			issuer := ten.at(scheme)
			s := startPython(t, ten, "pyjwt-api", object{"issuer": issuer, "audience": audience})
			var up struct{ Ready bool }
			s.read(&up)
			good := ten.password(issuer, "caller", nil)
			tokens := map[string]string{
				"good": good, "forged": good[:len(good)-8] + "AAAAAAAA",
				"of another API": ten.password(issuer, "caller", url.Values{"audience": {"https://other.example.com/"}}),
				"of an issuer":   ten.password(ten.other(issuer), "caller", nil),
			}
			ten.advance(-25 * time.Hour)
			tokens["expired"] = ten.password(issuer, "caller", nil)
			ten.advance(26 * time.Hour)
			tokens["of tomorrow"] = ten.password(issuer, "caller", nil)
			s.answer(tokens)
			got := map[string]string{}
			s.read(&got)
			for name, want := range map[string]string{
				"forged": "InvalidSignatureError", "of another API": "InvalidAudienceError", "of an issuer": "InvalidIssuerError",
				"expired": "ExpiredSignatureError", "of tomorrow": "ImmatureSignatureError",
			} {
				if got[name] != want {
					t.Errorf("%s: %q, not %q", name, got[name], want)
				}
			}
			if !strings.HasPrefix(got["good"], "auth0|") {
				t.Errorf("a good token: %q", got["good"])
			}
		})
	}
}
