package mock_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStrictBasicPlan(t *testing.T) {
	runModules(t, slices.Concat(tokenModules(), sessionModules(), requestModules()))
}

func tokenModules() []module {
	return []module{
		{"oidcc-server", succeeds()},
		{"oidcc-response-type-missing", func(c conformance) {
			c.authorize("response_type", "-").redirectsError("invalid_request", "Missing required parameter: response_type")
		}},
		{"oidcc-idtoken-signature", func(c conformance) {
			h := decodeJSON[map[string]any](c.TB, part(c.TB, c.basicExchange(c.login()).ID, 0))
			if h["alg"] != "RS256" || h["kid"] == "" {
				c.Errorf("%v", h)
			}
		}},
		{"oidcc-idtoken-unsigned", func(c conformance) {
			if strings.Contains(c.get("/.well-known/openid-configuration").body, `"none"`) {
				c.Error("none is offered")
			}
		}},
		{"oidcc-userinfo-get", succeeds()},
		{"oidcc-userinfo-post-header", func(c conformance) {
			r := httptest.NewRequest(http.MethodPost, op+"userinfo", nil)
			r.Header.Set("Authorization", "Bearer "+c.basicExchange(c.login()).Access)
			if got := c.do(r); got.status != 200 {
				c.Errorf("%d", got.status)
			}
		}},
		{"oidcc-userinfo-post-body", func(c conformance) {
			if got := c.post("/userinfo", "access_token", c.basicExchange(c.login()).Access); got.status != 200 {
				c.Errorf("%d", got.status)
			}
		}},
		{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", func(c conformance) {
			if n := claims(c.TB, c.basicExchange(c.login("nonce", "")).ID)["nonce"]; n != nil {
				c.Errorf("nonce %v", n)
			}
		}},
		{"oidcc-scope-profile", scopeModule("profile", "name", "given_name", "family_name", "nickname", "picture", "updated_at")},
		{"oidcc-scope-email", scopeModule("email", "email", "email_verified")},
		{"oidcc-scope-address", scopeModule("address")},
		{"oidcc-scope-phone", scopeModule("phone", "phone_number", "phone_number_verified")},
		{"oidcc-scope-all", scopeModule("profile email address phone", "name", "email", "phone_number")},
		{"oidcc-alternate-happy-flow", scopeModule("phone address email profile", "name", "email")},
		{"oidcc-display-page", succeeds("display", "page")},
		{"oidcc-display-popup", succeeds("display", "popup")},
	}
}

// sessionModules are those of prompt, max_age and hints.
func sessionModules() []module {
	return []module{
		{"oidcc-prompt-login", func(c conformance) {
			first := c.basicExchange(c.login("max_age", "15000"))
			c.Advance(time.Second)
			r := c.authorize("audience", "-", "scope", "openid", "nonce", "n-1", "prompt", "login")
			second := c.basicExchange(c.signIn(r, agent)) // fails when no page is shown
			was, is := claims(c.TB, first.ID), claims(c.TB, second.ID)
			if is["auth_time"].(float64) <= was["auth_time"].(float64) || is["sub"] != was["sub"] {
				c.Errorf("%v, before %v", is, was)
			}
		}},
		{"oidcc-prompt-none-not-logged-in", func(c conformance) {
			c.authorize("prompt", "none").redirectsError("login_required", "Login required")
		}},
		{"oidcc-prompt-none-logged-in", func(c conformance) {
			was := claims(c.TB, c.basicExchange(c.login("max_age", "15000")).ID)
			c.Advance(time.Second)
			is := claims(c.TB, c.basicExchange(c.authorize("audience", "-", "scope", "openid", "nonce", "n-1", "prompt", "none", "max_age", "15000")).ID)
			if is["sub"] != was["sub"] || is["auth_time"] != was["auth_time"] {
				c.Errorf("%v, before %v", is, was)
			}
		}},
		{"oidcc-max-age-1", func(c conformance) {
			was := claims(c.TB, c.basicExchange(c.login("max_age", "1")).ID)
			c.Advance(2 * time.Second)
			r := c.authorize("audience", "-", "scope", "openid", "nonce", "n-1", "max_age", "1")
			is := claims(c.TB, c.basicExchange(c.signIn(r, agent)).ID)
			if is["auth_time"].(float64) <= was["auth_time"].(float64) {
				c.Errorf("%v, before %v", is["auth_time"], was["auth_time"])
			}
		}},
		{"oidcc-max-age-10000", func(c conformance) {
			was := claims(c.TB, c.basicExchange(c.login("max_age", "10000")).ID)
			c.Advance(2 * time.Second)
			is := claims(c.TB, c.basicExchange(c.authorize("audience", "-", "scope", "openid", "nonce", "n-1", "max_age", "10000")).ID)
			if is["auth_time"] != was["auth_time"] || is["auth_time"] == nil {
				c.Errorf("%v, before %v", is["auth_time"], was["auth_time"])
			}
		}},
		{"oidcc-ensure-request-with-unknown-parameter-succeeds", succeeds("extra", "foobar")},
		{"oidcc-id-token-hint", func(c conformance) {
			was := c.basicExchange(c.login("max_age", "15000"))
			r := c.authorize("audience", "-", "scope", "openid", "nonce", "n-1", "prompt", "none", "id_token_hint", was.ID)
			if is := claims(c.TB, c.basicExchange(r).ID); is["sub"] != claims(c.TB, was.ID)["sub"] {
				c.Errorf("%v", is)
			}
		}},
	}
}

// requestModules are those of the requests' parameters, code reuse and refresh.
func requestModules() []module {
	return []module{
		{"oidcc-login-hint", succeeds("login_hint", agent)},
		{"oidcc-ui-locales", succeeds("ui_locales", "se")},
		{"oidcc-claims-locales", succeeds("claims_locales", "se")},
		{"oidcc-ensure-request-with-acr-values-succeeds", succeeds("acr_values", "1 2")},
		{"oidcc-codereuse", func(c conformance) { c.reuse(0) }},
		{"oidcc-codereuse-30seconds", func(c conformance) { c.reuse(30 * time.Second) }},
		{"oidcc-ensure-registered-redirect-uri", func(c conformance) {
			c.authorize("redirect_uri", callback+"/x7f3").page(403, "unauthorized_client", "Callback URL mismatch.")
		}},
		{"oidcc-ensure-post-request-succeeds", func(c conformance) {
			u, err := url.Parse(authorizeURL("audience", "-", "scope", "openid"))
			if err != nil {
				c.Fatal(err)
			}
			r := c.signIn(c.do(formRequest("/authorize", u.Query())), agent)
			c.basicExchange(c.consent(r, "accept"))
		}},
		{"oidcc-server-client-secret-post", func(c conformance) { c.checkIDToken(c.exchange(c.login().param("code")).tokens().ID) }},
		{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", func(c conformance) {
			c.authorize("request_uri", "https://rp.example/r").redirectsError("request_uri_not_supported", "The request_uri parameter is not supported")
		}},
		{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", func(c conformance) {
			c.authorize("request", "eyJhbGciOiJub25lIn0.e30.").redirectsError("request_not_supported", "The request parameter is not supported")
		}},
		{"oidcc-claims-essential", succeeds("claims", `{"userinfo":{"name":{"essential":true}}}`)},
		{"oidcc-ensure-request-object-with-redirect-uri", func(c conformance) {
			object := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"redirect_uri":"https://evil.example/"}`)) + "."
			c.authorize("request", object).redirectsError("request_not_supported", "The request parameter is not supported")
		}},
		{"oidcc-refresh-token", conformance.refreshModule},
		{"oidcc-ensure-request-with-valid-pkce-succeeds", func(c conformance) {
			c.basicExchange(c.login("code_challenge", challenge(), "code_challenge_method", "S256"), "code_verifier", verifier)
		}},
	}
}
