package mock_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// probedTenant has one client for everything and one for private_key_jwt, whose
// signer it returns.
func probedTenant(t *testing.T) (*tenant.File, signer) {
	t.Helper()
	key := testSigner(t)
	yes := true
	keys := &tenant.ClientAuth{}
	keys.PrivateKeyJWT.Credentials = []tenant.Credential{{KID: "k1", Alg: "RS256", PEM: key.public(t)}}
	return &tenant.File{
		Tenant: tenant.Settings{
			FriendlyName: "Probed", DefaultDirectory: "DB", SessionLifetime: 100, IdleSession: 60,
			AllowedLogoutURLs: []string{"http://bye.example/"},
		},
		Clients: []tenant.Client{{
			Name: "Probe", ClientID: "a", ClientSecret: "a-secret", AppType: "regular_web", IsFirstParty: &yes,
			TokenEndpointAuthMethod: "client_secret_post", Callbacks: []string{callback, "https://a.example.com/cb"},
			AllowedOrigins: []string{"http://o.example"}, WebOrigins: []string{"http://w.example"},
			AllowedLogoutURLs: []string{"http://bye.example/a"}, OrganizationUsage: "allow",
			GrantTypes: []string{
				"authorization_code", "implicit", "refresh_token", "client_credentials", "password", tenant.GrantPasswordRealm,
				tenant.GrantDeviceCode, tenant.GrantTokenExchange,
			},
			RefreshToken: &tenant.RefreshPolicy{
				RotationType: "rotating", ExpirationType: "expiring", Leeway: 30, TokenLifetime: 1000, IdleTokenLifetime: 500,
				Policies: []tenant.RefreshTarget{{Audience: "https://second.example/", Scope: []string{"ping"}}},
			},
			JWT: tenant.JWTSettings{Alg: "RS256", LifetimeInSeconds: 100},
		}, {
			Name: "Keyed", ClientID: "keyed", GrantTypes: []string{"client_credentials"}, Authentication: keys,
		}},
		ResourceServers: []tenant.ResourceServer{{
			Name: "First", Identifier: api, AllowOfflineAccess: true, SigningAlg: "RS256", TokenDialect: "access_token",
			Scopes: []tenant.Scope{{Value: "read:calls"}, {Value: "write:calls"}},
		}, {
			Name: "Second", Identifier: "https://second.example/", SkipConsent: true, Scopes: []tenant.Scope{{Value: "ping"}},
		}},
		ClientGrants: []tenant.ClientGrant{
			{ClientID: "a", Audience: api, Scope: []string{"read:calls"}}, {ClientID: "keyed", Audience: api},
		},
		Roles: []tenant.Role{{Name: "agent", Permissions: []tenant.Permission{{Name: "read:calls", Resource: api}}}},
		Organizations: []tenant.Organization{{
			ID: "org_one", Name: "one", Members: []string{agent},
		}, {ID: "org_two", Name: "two"}},
		Databases:   []tenant.Database{{Name: "DB"}},
		Connections: []tenant.Connection{{Name: "email", Strategy: "email"}},
		Users: []tenant.User{{
			UserID: "auth0|1", Email: agent, Username: "ann", Name: "Ann", Nickname: "annie", GivenName: "Ann", FamilyName: "Agent",
			Picture: "http://x.example/p.png", PhoneNumber: "+1555", Password: "password", Roles: []string{"agent"},
			CreatedAt: "2025-01-01T00:00:00Z", UpdatedAt: "2025-01-02T00:00:00Z",
			AppMetadata: map[string]any{"team": "red"}, UserMetadata: map[string]any{"lang": "de"},
		}, {Email: guest, Password: "password"}},
		Actions: []tenant.Action{{
			Trigger:        "post-login",
			SetAccessToken: map[string]any{"https://x/a": "{{.User.AppMetadata.team}} {{.User.UserMetadata.lang}} {{.User.CreatedAt}}"},
			SetIDToken:     map[string]any{"https://x/i": "1"},
		}},
	}, key
}

// dialogue is what a client and a browser send to the probed tenant, and its answers.
type dialogue struct {
	*world
	signer     signer
	transcript strings.Builder
}

// note adds an answer, with its tokens readable.
func (d *dialogue) note(what string, r reply) reply {
	fmt.Fprintf(&d.transcript, "%s: %d %s\n", what, r.status, r.header.Get("Location"))
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Www-Authenticate"} {
		if v := r.header.Get(name); v != "" {
			fmt.Fprintf(&d.transcript, "  %s: %s\n", name, v)
		}
	}
	d.transcript.WriteString("  " + readable(d, r.body) + readable(d, r.header.Get("Location")) + "\n")
	return r
}

var (
	jwtPattern = regexp.MustCompile(`eyJ[\w-]+\.[\w-]*\.[\w-]+(\.[\w-]+\.[\w-]+)?`)
	random     = regexp.MustCompile(`"(jti|at_hash|c_hash)":"[^"]+"`)
)

// readable replaces JWTs by their header and claims, and opaque tokens by a word.
func readable(d *dialogue, body string) string {
	return jwtPattern.ReplaceAllStringFunc(body, func(token string) string {
		if strings.Count(token, ".") != 2 {
			return "opaque"
		}
		header := part(d.TB, token, 0)
		if strings.Contains(header, `"HS256"`) { // the others sign at random, or with the tenant's key
			header += token[len(token)-8:]
		}
		return random.ReplaceAllString(header+part(d.TB, token, 1), `"$1":"…"`)
	})
}

const probedScope = "openid profile email phone offline_access read:calls write:calls"

func (d *dialogue) start(params ...string) reply {
	return d.authorize(append([]string{"client_id", "a", "scope", probedScope}, params...)...)
}

func (d *dialogue) log(params ...string) tokens {
	r := d.note("authorize", d.start(params...))
	if r.status != http.StatusFound || r.param("code") == "" {
		return tokens{}
	}
	r = d.note("token", d.exchange(r.param("code"), "client_id", "a", "client_secret", "a-secret"))
	if r.status != http.StatusOK {
		return tokens{}
	}
	tk := r.tokens()
	d.note("userinfo", d.userinfo(tk.Access))
	return tk
}

func (d *dialogue) renew(tk tokens, params ...string) tokens {
	r := d.note("refresh", d.refresh("a", tk.Refresh, params...))
	if r.status != http.StatusOK {
		return tk
	}
	return r.tokens()
}

func (d *dialogue) origin(origin string) {
	r := formRequest("/oauth/token", pairs("client_id", "a", "grant_type", "x"))
	r.Header.Set("Origin", origin)
	d.note("from "+origin, d.do(r))
}

func (d *dialogue) resource(token string) {
	r := httptest.NewRequest(http.MethodGet, issuer+"_mock/resource/x", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	d.note("resource", d.do(r))
}

func (d *dialogue) grant(grantType string, params ...string) {
	d.note(grantType, d.post("/oauth/token", append([]string{"grant_type", grantType, "client_id", "a", "client_secret", "a-secret"}, params...)...))
}

// form logs in on the pages and submits the consent page.
func (d *dialogue) form(action string, params ...string) {
	r := d.note("authorize", d.start(params...))
	if r.status != http.StatusFound || r.location().Path != "/u/login" {
		return
	}
	d.note("page", d.get(r.location().String()))
	state := r.location().Query().Get("state")
	r = d.note("login", d.post("/u/login?state="+state, "state", state, "username", agent, "password", "password"))
	if r.status != http.StatusFound {
		return
	}
	r = d.note("resume", d.get(r.location().String()))
	if r.status != http.StatusFound || r.location().Path != "/u/consent" {
		return
	}
	d.note("page", d.get(r.location().String()))
	r = d.note("consent", d.post("/u/consent?state="+state, "state", state, "action", action))
	d.note("resume", d.get(r.location().String()))
}

// dialogues are named after what they try; those that begin with "form" use the pages.
var dialogues = map[string]func(*dialogue) string{
	"login": func(d *dialogue) string {
		tk := d.log("nonce", "n")
		d.resource(tk.Access)
		return d.transcript.String()
	},
	"default": func(d *dialogue) string {
		d.log("audience", "-")
		d.grant("client_credentials")
		return d.transcript.String()
	},
	"pushed": func(d *dialogue) string {
		d.note("push", d.post("/oauth/par", "client_id", "a", "client_secret", "a-secret", "response_type", "code", "redirect_uri", callback))
		d.note("discovery", d.get("/.well-known/openid-configuration"))
		d.log()
		return d.transcript.String()
	},
	"implicit": func(d *dialogue) string {
		d.note("implicit", d.start("response_type", "token id_token", "nonce", "n"))
		return d.transcript.String()
	},
	"refresh": func(d *dialogue) string {
		first := d.log()
		d.renew(first)
		d.Advance(20 * time.Second)
		d.renew(first) // within the overlap
		d.Advance(20 * time.Second)
		d.renew(first)
		d.renew(d.log(), "audience", "https://second.example/")
		return d.transcript.String()
	},
	"old refresh token": func(d *dialogue) string {
		tk := d.log()
		for range 3 { // past the lifetime
			d.Advance(400 * time.Second)
			tk = d.renew(tk)
		}
		idle := d.log()
		d.Advance(600 * time.Second)
		d.renew(idle)
		return d.transcript.String()
	},
	"revoke": func(d *dialogue) string {
		one, other := d.log(), d.log()
		d.note("revoke", d.post("/oauth/revoke", "client_id", "a", "client_secret", "a-secret", "token", one.Refresh))
		d.renew(other)
		return d.transcript.String()
	},
	"session": func(d *dialogue) string {
		d.log()
		for range 3 {
			d.Advance(40 * time.Hour)
			d.note("silent", d.start("prompt", "none"))
		}
		d.log()
		d.Advance(70 * time.Hour)
		d.note("silent", d.start("prompt", "none"))
		return d.transcript.String()
	},
	"logout": func(d *dialogue) string {
		d.note("client", d.get("/v2/logout?client_id=a"))
		d.note("tenant", d.get("/v2/logout"))
		return d.transcript.String()
	},
	"password": func(d *dialogue) string {
		for _, name := range []string{agent, "ann"} {
			d.grant("password", "username", name, "password", "password", "scope", probedScope, "audience", api)
			d.grant(tenant.GrantPasswordRealm, "username", name, "password", "password", "realm", "DB")
		}
		return d.transcript.String()
	},
	"machine": func(d *dialogue) string {
		d.grant("client_credentials", "audience", api)
		d.grant("client_credentials", "audience", api, "organization", "org_one")
		return d.transcript.String()
	},
	"assertion": func(d *dialogue) string {
		d.note("assertion", d.post("/oauth/token", "grant_type", "client_credentials", "audience", api,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			"client_assertion", d.signer.assert(jose.RS256, "k1", map[string]any{"jti": "1"})))
		return d.transcript.String()
	},
	"exchange": func(d *dialogue) string {
		d.grant(tenant.GrantTokenExchange, "subject_token", agent, "subject_token_type", "urn:x", "audience", api)
		return d.transcript.String()
	},
	"cors": func(d *dialogue) string {
		d.origin("http://o.example")
		d.origin("http://w.example")
		return d.transcript.String()
	},
	"organization": func(d *dialogue) string {
		d.log("organization", "org_one")
		d.log("organization", "one")
		d.log()
		return d.transcript.String()
	},
	"sign-up": func(d *dialogue) string {
		for _, email := range []string{"new@example.com", agent} {
			d.note("sign-up", d.post("/dbconnections/signup", "client_id", "a", "connection", "DB", "email", email, "password", "password"))
		}
		return d.transcript.String()
	},
	"passwordless": func(d *dialogue) string {
		d.note("start", d.post("/passwordless/start", "client_id", "a", "connection", "email", "email", agent, "send", "code"))
		return d.transcript.String()
	},
	"second factor": func(d *dialogue) string {
		start := func() string {
			r := d.post("/oauth/token", "grant_type", "password", "client_id", "a", "client_secret", "a-secret", "username", agent, "password", "password")
			if r.status != http.StatusForbidden { // no factor is required
				return ""
			}
			return r.mfaToken()
		}
		for _, id := range []string{"email|1", "sms|1"} {
			d.note(id, d.postJSON("/mfa/challenge", "client_id", "a", "client_secret", "a-secret", "mfa_token", start(), "challenge_type", "oob", "authenticator_id", id))
		}
		d.note("mails", d.control("GET", "/_mock/mails", ""))
		d.Advance(time.Unix(1111111109, 0).Sub(d.Now())) // when the one-time password is 081804
		d.grant(mfaOTP, "mfa_token", start(), "otp", "081804")
		d.grant(mfaRecovery, "mfa_token", start(), "recovery_code", "recover")
		return d.transcript.String()
	},
	"resource": func(d *dialogue) string {
		d.log("audience", "-", "resource", api)
		return d.transcript.String()
	},
	"invitation": func(d *dialogue) string {
		d.note("invitation", d.control("POST", "/_mock/organizations/org_one/invitations", `{"client_id":"a","invitee":{"email":"x@example.com"}}`))
		return d.transcript.String()
	},
	"proof": func(d *dialogue) string {
		p := &prover{TB: d.TB, alg: jose.RS256, key: d.signer.key}
		for _, audience := range []string{api, "-"} {
			for _, proofs := range [][]string{nil, {p.proof("POST", tokenURL, start, nil)}} {
				code := d.code("client_id", "a", "audience", audience)
				form := pairs("grant_type", "authorization_code", "client_id", "a", "client_secret", "a-secret", "code", code, "redirect_uri", callback)
				d.note("token", d.proven(form, proofs...))
			}
		}
		return d.transcript.String()
	},
	"back-channel logout": func(d *dialogue) string {
		r := &receiver{tokens: map[string][]string{}}
		d.SendLogoutTokensBy(r)
		d.log()
		d.note("logout", d.get("/v2/logout?client_id=a"))
		for target := range d.received(r) {
			d.transcript.WriteString(target)
		}
		return d.transcript.String()
	},
	"error": func(d *dialogue) string {
		d.note("unknown client", d.start("client_id", "absent"))
		return d.transcript.String()
	},
	"form": func(d *dialogue) string { d.form("accept"); return d.transcript.String() },
	"form without consent": func(d *dialogue) string {
		d.form("accept", "audience", "https://second.example/", "redirect_uri", "https://a.example.com/cb")
		return d.transcript.String()
	},
	"form declined": func(d *dialogue) string { d.form("deny"); return d.transcript.String() },
	"form signup": func(d *dialogue) string {
		r := d.note("authorize", d.start("screen_hint", "signup"))
		d.note("page", d.get(r.location().String()))
		return d.transcript.String()
	},
	"silent": func(d *dialogue) string {
		d.log()
		d.note("silent", d.start("prompt", "none"))
		d.grant("client_credentials", "audience", api)
		return d.transcript.String()
	},
}

// testSigner signs with the embedded test key, because a new one would take long.
func testSigner(t *testing.T) signer {
	t.Helper()
	return signer{t, mock.EmbeddedKey().Private}
}

func (s signer) public(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
