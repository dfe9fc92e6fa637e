package mock_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

const target = "http://localhost:3000/" // a registered post_logout_redirect_uri

func (c conformance) hint() string { c.Helper(); return c.basicExchange(c.login()).ID }

func (c conformance) out(params ...string) reply {
	c.Helper()
	return c.get("/oidc/logout?" + pairs(params...).Encode())
}

func (c conformance) signedOut() {
	c.Helper()
	c.authorize("prompt", "none").redirectsError("login_required", "Login required")
}

// stays asserts an error page and no redirect to the client.
func (c conformance) stays(r reply) {
	c.Helper()
	if r.status != 400 || r.header.Get("Location") != "" {
		c.Errorf("%d %s", r.status, r.header.Get("Location"))
	}
}

// asks asserts the page that asks, and no redirect after it.
func (c conformance) asks(r reply) {
	c.Helper()
	r = c.post("/u/logout-consent?state="+r.state("/u/logout-consent"), "action", "accept")
	if r.status != 200 || r.header.Get("Location") != "" || !strings.Contains(r.body, "You are logged out.") {
		c.Errorf("%d %s", r.status, r.header.Get("Location"))
	}
	c.signedOut()
}

func TestStrictRPInitiatedLogoutPlan(t *testing.T) {
	runModules(t, []module{
		{"oidcc-rp-initiated-logout-discovery-endpoint-verification", func(c conformance) {
			d := decodeJSON[map[string]any](c.TB, c.get("/.well-known/openid-configuration").body)
			if d["end_session_endpoint"] != op+"oidc/logout" {
				c.Errorf("%v", d["end_session_endpoint"])
			}
		}},
		{"oidcc-rp-initiated-logout", func(c conformance) {
			if got := c.out("id_token_hint", c.hint(), "post_logout_redirect_uri", target, "state", "s 1").header.Get("Location"); got != target+"?state=s%201" {
				c.Errorf("%s", got)
			}
			c.signedOut()
		}},
		{"oidcc-rp-initiated-logout-no-state", func(c conformance) {
			if got := c.out("id_token_hint", c.hint(), "post_logout_redirect_uri", target).header.Get("Location"); got != target {
				c.Errorf("%s", got)
			}
			c.signedOut()
		}},
		{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", func(c conformance) {
			c.stays(c.out("id_token_hint", c.hint(), "post_logout_redirect_uri", target+"x", "state", "s"))
		}},
		{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", func(c conformance) {
			c.stays(c.out("id_token_hint", c.hint(), "post_logout_redirect_uri", target+"?foo=bar", "state", "s"))
		}},
		{"oidcc-rp-initiated-logout-bad-id-token-hint", func(c conformance) {
			none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(c.hint(), ".")[1] + "."
			c.stays(c.out("id_token_hint", none, "post_logout_redirect_uri", target, "state", "s"))
		}},
		{"oidcc-rp-initiated-logout-modified-id-token-hint", func(c conformance) {
			parts := strings.Split(c.hint(), ".")
			key, err := mock.GenerateKey()
			if err != nil {
				c.Fatal(err)
			}
			foreign := newWorld(c.TB, mock.Config{Issuer: op, Keys: []mock.Key{key}}).tokens("demo").ID
			for _, h := range []string{parts[0] + "." + parts[1] + "." + strings.Split(foreign, ".")[2], foreign} {
				c.stays(c.out("id_token_hint", h, "post_logout_redirect_uri", target, "state", "s"))
			}
		}},
		{"oidcc-rp-initiated-logout-no-id-token-hint", func(c conformance) {
			c.hint()
			c.asks(c.out("post_logout_redirect_uri", target, "state", "s"))
		}},
		{"oidcc-rp-initiated-logout-no-params", func(c conformance) { c.hint(); c.asks(c.out()) }},
		{"oidcc-rp-initiated-logout-only-state", func(c conformance) { c.hint(); c.asks(c.out("state", "s")) }},
		{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", func(c conformance) {
			if r := c.out("id_token_hint", c.hint(), "state", "s"); r.status != 200 || !strings.Contains(r.body, "You are logged out.") {
				c.Errorf("%d %s", r.status, r.header.Get("Location"))
			}
			c.signedOut()
		}},
	})
}
