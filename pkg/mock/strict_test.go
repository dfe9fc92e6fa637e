package mock_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
)

// The modules of the OpenID Foundation's conformance suite for providers
// (https://gitlab.com/openid/conformance-suite), by their names, against the strict
// profile.

const op = "https://op.example/"

// conformance is a provider in the strict profile with an https issuer.
type conformance struct {
	*world
}

func newConformance(t *testing.T) conformance {
	e := richTenant()
	e.Users[0].GivenName, e.Users[0].FamilyName, e.Users[0].PhoneNumber, e.Users[0].PhoneVerified = "Example", "Agent", "+15550100", true
	return conformance{newWorld(t, mock.Config{Issuer: op, Login: mock.LoginForm, Profile: mock.ProfileStrictOIDC, Tenant: e})}
}

// login authorizes through the pages and returns the callback.
func (c conformance) login(params ...string) reply {
	c.Helper()
	r := c.authorize(append([]string{"audience", "-", "scope", "openid", "nonce", "n-1"}, params...)...)
	for range 4 {
		switch u := r.location(); u.Path {
		case "/u/login":
			r = c.signIn(r, agent)
		case "/u/consent":
			r = c.consent(r, "accept")
		default:
			return r
		}
	}
	return r
}

// basicExchange makes a token request with client_secret_basic and checks the response.
func (c conformance) basicExchange(callbackReply reply, params ...string) tokens {
	c.Helper()
	if callbackReply.param("state") != "xyzABC123" {
		c.Errorf("state %q", callbackReply.param("state"))
	}
	r := formRequest("/oauth/token", pairs(append([]string{
		"grant_type", "authorization_code", "code", callbackReply.param("code"), "redirect_uri", callback,
	}, params...)...))
	r.SetBasicAuth("demo", "demo-secret")
	tk := c.do(r).tokens()
	c.checkIDToken(tk.ID)
	if tk.Access == "" || tk.Expires <= 0 || tk.Type != "Bearer" {
		c.Errorf("%+v", tk)
	}
	return tk
}

// checkIDToken checks what every module requires of an ID token.
func (c conformance) checkIDToken(raw string) map[string]any {
	c.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(c.get("/.well-known/jwks.json").body), &set); err != nil {
		c.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		c.Fatal(err)
	}
	keys := set.Key(jws.Signatures[0].Protected.KeyID)
	if len(keys) != 1 {
		c.Fatalf("%d keys of the kid %q", len(keys), jws.Signatures[0].Protected.KeyID)
	}
	if _, err := jws.Verify(keys[0]); err != nil {
		c.Error(err)
	}
	cl := claims(c.TB, raw)
	now := float64(c.Now().Unix())
	if cl["iss"] != op || cl["aud"] != "demo" || cl["sub"] == "" || cl["sub"] == nil || cl["exp"].(float64) <= now || cl["iat"] != now {
		c.Errorf("ID token %v", cl)
	}
	if n, there := cl["nonce"]; there && n != "n-1" {
		c.Errorf("nonce %v", n)
	}
	c.checkTypes(cl)
	return cl
}

// checkTypes checks the types of the standard claims (OpenID Connect Core, section 5.1).
func (c conformance) checkTypes(cl map[string]any) {
	c.Helper()
	for name, v := range cl {
		switch name {
		case "updated_at":
			if at, ok := v.(float64); !ok || at < 631152000 || at > float64(c.Now().Unix()) {
				c.Errorf("updated_at %v", v)
			}
		case "email_verified", "phone_number_verified":
			if _, ok := v.(bool); !ok {
				c.Errorf("%s %v", name, v)
			}
		case "exp", "iat", "auth_time":
			if _, ok := v.(float64); !ok {
				c.Errorf("%s %v", name, v)
			}
		default:
			if s, ok := v.(string); !ok || s == "" {
				c.Errorf("%s %v", name, v)
			}
		}
	}
}

func (c conformance) info(tk tokens) map[string]any {
	c.Helper()
	r := c.userinfo(tk.Access)
	if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		c.Fatalf("%d %s", r.status, r.body)
	}
	cl := decodeJSON[map[string]any](c.TB, r.body)
	if cl["sub"] != claims(c.TB, tk.ID)["sub"] {
		c.Errorf("sub %v", cl["sub"])
	}
	c.checkTypes(cl)
	return cl
}

type module struct {
	name string
	run  func(c conformance)
}

func runModules(t *testing.T, modules []module) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) { m.run(newConformance(t)) })
	}
}

// succeeds is a module in which extra parameters must be ignored.
func succeeds(params ...string) func(conformance) {
	return func(c conformance) { c.info(c.basicExchange(c.login(params...))) }
}

// scopeModule requires the claims of a scope at /userinfo.
func scopeModule(scope string, want ...string) func(conformance) {
	return func(c conformance) {
		cl := c.info(c.basicExchange(c.login("scope", "openid "+scope)))
		for _, name := range want {
			if cl[name] == nil {
				c.Errorf("%s is missing in %v", name, cl)
			}
		}
	}
}

func TestStrictConfigPlan(t *testing.T) {
	runModules(t, []module{{"oidcc-discovery-endpoint-verification", func(c conformance) {
		r := c.get("/.well-known/openid-configuration")
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
			c.Fatalf("%d %s", r.status, r.header.Get("Content-Type"))
		}
		d := decodeJSON[map[string]any](c.TB, r.body)
		list := func(name string) []any { l, _ := d[name].([]any); return l }
		for name, want := range map[string]any{
			"response_types_supported": "code", "subject_types_supported": "public", "id_token_signing_alg_values_supported": "RS256",
			"scopes_supported": "openid", "code_challenge_methods_supported": "S256", "token_endpoint_auth_methods_supported": "client_secret_basic",
			"grant_types_supported": "refresh_token",
		} {
			if !slices.Contains(list(name), want) {
				c.Errorf("%s: %v lacks %v", name, d[name], want)
			}
		}
		if d["issuer"] != op || slices.Contains(list("id_token_signing_alg_values_supported"), any("none")) {
			c.Errorf("%v", d)
		}
		for name, v := range d {
			if s, _ := v.(string); (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") && !strings.HasPrefix(s, op) {
				c.Errorf("%s %q is not https at the issuer", name, s)
			}
		}
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"} {
			if d[name] == nil {
				c.Errorf("%s is missing", name)
			}
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(c.get("/.well-known/jwks.json").body), &set); err != nil || len(set.Keys) == 0 {
			c.Fatal(err)
		}
		for _, k := range set.Keys {
			if !k.Valid() || !k.IsPublic() || k.KeyID == "" {
				c.Errorf("key %q", k.KeyID)
			}
		}
	}}})
}

// Not a module of the suite: a reused code revokes the tokens of its first exchange.
func TestStrictCodeReuseRevokesItsTokens(t *testing.T) { newConformance(t).reuse(time.Second) }

func (c conformance) reuse(after time.Duration) {
	c.Helper()
	code := c.login("scope", "openid offline_access").param("code")
	tk := c.exchange(code).tokens()
	c.Advance(after)
	c.exchange(code).refused(http.StatusBadRequest, "invalid_grant", badCode)
	if got := c.userinfo(tk.Access).status; got != http.StatusUnauthorized {
		c.Errorf("the access token still opens /userinfo: %d", got)
	}
	c.refresh("demo", tk.Refresh).refused(http.StatusBadRequest, "invalid_grant", badRefresh)
}

func (c conformance) refreshModule() {
	was := c.basicExchange(c.login("scope", "openid offline_access", "prompt", "consent", "max_age", "15000"))
	c.Advance(time.Second)
	r := c.refresh("demo", was.Refresh, "scope", "openid offline_access")
	is := r.tokens()
	if r.header.Get("Cache-Control") != "no-store" || is.Type != "Bearer" || len(is.Access) < 16 || is.Access == was.Access {
		c.Errorf("%v %+v", r.header, is)
	}
	now, before := claims(c.TB, is.ID), claims(c.TB, was.ID)
	for _, name := range []string{"iss", "sub", "aud", "auth_time"} {
		if now[name] != before[name] {
			c.Errorf("%s %v, before %v", name, now[name], before[name])
		}
	}
	second := c.tokensOfClient2()
	c.refresh("demo", second.Refresh).refused(http.StatusBadRequest, "invalid_grant", badRefresh)
}

func (c conformance) tokensOfClient2() tokens {
	r := c.login("client_id", "abrupt", "scope", "openid offline_access")
	return c.exchange(r.param("code"), "client_id", "abrupt", "client_secret", "abrupt-secret").tokens()
}

func TestStrictStatusesOfOAuth(t *testing.T) {
	c := newConformance(t)
	r := formRequest("/oauth/token", pairs("grant_type", "client_credentials"))
	r.SetBasicAuth("demo", "wrong")
	got := c.do(r)
	got.refused(401, "invalid_client", "Unauthorized")
	if h := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(h, "Basic ") {
		t.Errorf("WWW-Authenticate %q", h)
	}
	c.post("/oauth/token", "grant_type", "foo", "client_id", "demo", "client_secret", "demo-secret").
		refused(400, "unsupported_grant_type", "Unsupported grant type: foo")
	d := decodeJSON[map[string]any](t, c.post("/oauth/device/code", "client_id", "demo", "scope", "openid").body)["device_code"].(string)
	poll := func() reply {
		return c.post("/oauth/token", "grant_type", deviceGrant, "client_id", "demo", "client_secret", "demo-secret", "device_code", d)
	}
	poll().refused(400, "authorization_pending", "User has yet to authorize device code.")
	poll().refused(400, "slow_down", "You are polling faster than the specified interval of 5 seconds.")
}
