package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/doctor"
	"example.com/tokend/pkg/flow"
)

const redirect = "TOKEND_CLIENT_DEMO_REDIRECT_URI="

var clientCases = []doctorCase{
	{"default", fine, "redirect_uri", "ok", "comes back to tokend", "", 0},
	{"other port", set("TOKEND_LISTEN=127.0.0.1:18484", redirect+"http://localhost:8484/callback"), "redirect_uri", "problem", "leads to port 8484, and tokend listens on 18484", "set redirect_uri to http://localhost:18484/callback and add that to the application's Allowed Callback URLs, or TOKEND_LISTEN to 127.0.0.1:8484", 78},
	{"no port", set(redirect + "http://localhost/callback"), "redirect_uri", "problem", "leads to port 80", "set redirect_uri", 78},
	{"other path", set("TOKEND_LISTEN=127.0.0.1:18484", redirect+"http://localhost:18484/cb"), "redirect_uri", "problem", `leads to path "/cb"`, "set redirect_uri to http://localhost:18484/callback", 78},
	{"other machine", set(redirect + "http://ci.example:8484/callback"), "redirect_uri", "problem", "is not tokend's listener", "set redirect_uri", 78},
	{"TLS", set("TOKEND_LISTEN=127.0.0.1:18484", redirect+"https://localhost:18484/callback"), "redirect_uri", "problem", "is not tokend's listener", "set redirect_uri", 78},
	{"the other loopback", set("TOKEND_LISTEN=[::1]:18484", redirect+"http://127.0.0.1:18484/callback"), "redirect_uri", "problem", "is not tokend's listener [::1]:18484", "set redirect_uri", 78},
	{"both loopbacks", set("TOKEND_LISTEN=127.0.0.1:18484", redirect+"http://[::1]:18484/callback"), "redirect_uri", "ok", "comes back", "", 0},
	{"no listener", set("TOKEND_LISTEN=off"), "redirect_uri", "problem", "TOKEND_LISTEN is off", "login: paste", 78},
	{"any port", set("TOKEND_LISTEN=127.0.0.1:0", "TOKEND_SOCKET=/nonexistent/s"), "redirect_uri", "skipped", "has port 0", "", 0},
	{"paste", set("TOKEND_CLIENT_DEMO_LOGIN=paste", redirect+"http://ci.example/x"), "redirect_uri", "skipped", "login: paste", "", 0},

	{"default", fine, "scopes", "ok", "offline_access", "", 0},
	{"without", set("TOKEND_CLIENT_DEMO_SCOPES=openid"), "scopes", "warning", "no offline_access among openid", "add offline_access to scopes", 0},
	{"without, by device", set("TOKEND_CLIENT_DEMO_SCOPES=openid", "TOKEND_CLIENT_DEMO_GRANT=device_code"), "scopes", "warning", "no offline_access among openid", "add offline_access to scopes", 76},
	{"without, headless", set("TOKEND_CLIENT_DEMO_SCOPES=openid", "TOKEND_CLIENT_DEMO_LOGIN=headless"), "scopes", "ok", "without a person", "", 0},

	{"by a person", fine, "grant type", "ok", "no password", "", 0},
	{"password", set("TOKEND_CLIENT_DEMO_GRANT=password", "TOKEND_CLIENT_DEMO_USERNAME=agent@example.com", "TOKEND_CLIENT_DEMO_PASSWORD=password", redirect), "grant type", "warning", "which RFC 9700 forbids", "use authorization_code or device_code", 0},

	{"one", fine, "audience", "ok", "https://api.example.com/", "", 0},
	{"none", set("TOKEND_CLIENT_DEMO_AUDIENCE="), "audience", "warning", "Auth0 issues an opaque token", "set audience to the Identifier", 0},

	{"good", answersOnly(`"state":"ready","files":[{"path":"/run/t"}]`), "files", "ok", "1 as configured", "", 0},
	{"hook", answersOnly(`"state":"ready","files":[{"path":"/run/t","failure":"hook failed: reload: exit status 1"}]`), "files", "problem", "/run/t: hook failed: reload: exit status 1", "tokend retries at least every minute", 69},
	{"directory", answersOnly(`"state":"ready","files":[{"path":"/run/t","failure":"directory /run cannot be used: gone","hint":"make it"}]`), "files", "problem", "/run/t: directory /run cannot be used: gone", "make it", 69},

	{"untold", fine, "state", "skipped", "does not list the client", "", 0},
	{"ready", answersOnly(`"state":"ready"`), "state", "ok", "ready", "", 0},
	{"degraded", answersOnly(`"state":"degraded","failure":{"class":"idp_timeout","description":"no answer\nin time"}`), "state", "warning", "degraded: idp_timeout: no answer in time", "served until it expires", 0},
	{"outcome unknown", answersOnly(`"state":"degraded","failure":{"class":"idp_unreachable","description":"the last refresh may or may not have reached the provider; retrying at 2026-08-01T12:00:00Z"}`), "state", "warning", "retrying at 2026-08-01T12:00:00Z", "to retry now: tokend login demo", 0},
	{"restored", answersOnly(`"state":"restored"`), "state", "problem", "an older copy of the store was put back", "tokend resume demo", 77},
	{"login required", answersOnly(`"state":"login_required"`), "state", "problem", "login_required", "tokend login demo --browser or --paste", 77},
	{"login tried again", answersOnly(`"state":"login_required","login":"headless","next_refresh":"2026-08-01T12:00:00Z"`), "state", "problem", "login_required", "tokend login demo; the service retries at 2026-08-01T12:00:00Z", 77},
	{"rejected", answersOnly(`"state":"client_rejected","failure":{"class":"client_rejected"}`), "state", "problem", "client_rejected", "compare client_id, client_secret", 77},
	{"unavailable", answersOnly(`"state":"unavailable"`), "state", "problem", "unavailable", "recovers by itself", 75},
	{"unavailable by a setting", answersOnly(`"state":"unavailable","failure":{"class":"invalid_request","description":"access_denied: Service not found","hint":"audience (--audience) must be exactly the Identifier of an API of this tenant that the application may use"}`), "state", "problem", "unavailable: invalid_request", "audience (--audience) must be", 78},
	{"unavailable by the issuer", answersOnly(`"state":"unavailable","failure":{"class":"invalid_configuration","hint":"set issuer to https://t.example/ exactly"}`), "state", "problem", "unavailable: invalid_configuration", "set issuer to", 78},
	{"unavailable by an answer", answersOnly(`"state":"unavailable","failure":{"class":"idp_bad_response"}`), "state", "problem", "unavailable: idp_bad_response", "fix this; tokend keeps retrying", 76},
	{"of the future", answersOnly(`"state":"x"`), "state", "warning", "state x is unknown here", "version", 0},

	{"far", answersOnly(`"state":"ready","grant_ends":"2026-08-05T12:00:00Z"`), "grant", "ok", "2026-08-05T12:00:00Z", "", 0},
	{"near", answersOnly(`"state":"ready","grant_ends":"2026-08-03T12:00:00Z"`), "grant", "warning", "it ends at 2026-08-03T12:00:00Z, in 48h", "tokend login demo", 0},
	{"past", answersOnly(`"state":"ready","grant_ends":"2026-07-03T12:00:00Z"`), "grant", "warning", "in 0s", "tokend login demo", 0},

	{"unknown", fine, "rotation", "skipped", "known after the first refresh", "", 0},
	{"off", set("TOKEND_CLIENT_DEMO_ROTATION=off"), "rotation", "ok", "off", "", 0},
	{"on, without overlap", set("TOKEND_CLIENT_DEMO_ROTATION=on"), "rotation", "warning", "on, and leeway is 0", "set Rotation Overlap Period of application the-id in the tenant's dashboard to 30 seconds, and leeway: 30s here", 0},
	{"on, with overlap", set("TOKEND_CLIENT_DEMO_ROTATION=on", "TOKEND_CLIENT_DEMO_LEEWAY=30s"), "rotation", "ok", "an overlap of 30s", "", 0},
	{"a short overlap", set("TOKEND_CLIENT_DEMO_ROTATION=on", "TOKEND_CLIENT_DEMO_LEEWAY=5s"), "rotation", "warning", "an overlap of 5s is too short to recover a lost answer in time", "leeway: 30s here", 0},
	{"seen to be on", answersOnly(`"state":"ready","rotation":"on"`), "rotation", "warning", "on, and leeway is 0", "Rotation Overlap Period", 0},

	{"good", answersOnly(`"state":"ready","obtained":"2026-08-01T12:00:00Z","expiry":"2026-08-01T12:10:00Z"`), "windows", "ok", "live 10m0s", "", 0},
	{"advisory", windowed("ADVISORY=10m"), "windows", "warning", "refresh.advisory is 10m0s, and access tokens live 10m0s", "set refresh.advisory below 10m0s", 0},
	{"mandatory", windowed("MANDATORY=11m"), "windows", "warning", "refresh.mandatory is 11m0s", "set refresh.mandatory below", 0},

	{"good", fine, "issuer", "ok", "http://127.0.0.1:", "", 0},
	{"without slash", func(t *testing.T, p *place) { setenv(t, "TOKEND_CLIENT_DEMO_ISSUER="+p.tenant.URL) }, "issuer", "problem", "is configured as", "set issuer to http://127.0.0.1:", 78},
	{"another host", func(_ *testing.T, p *place) { p.issuer = "https://id.example.com/" }, "issuer", "problem", `says "https://id.example.com/"`, "set issuer to https://id.example.com/ exactly, if that is the provider you mean", 78},
	{"good", fine, "discovery", "ok", "answers", "", 0},
	{"tenant down", func(_ *testing.T, p *place) { p.tenant.Close() }, "discovery", "problem", "connection refused", "is the provider running?", 75},
	{"wrong path", func(t *testing.T, p *place) { setenv(t, "TOKEND_CLIENT_DEMO_ISSUER="+p.tenant.URL+"/x/") }, "discovery", "problem", "404", "set issuer to the provider's address", 78},
	{"no keys", func(_ *testing.T, p *place) { p.keyless = true }, "keys", "problem", "no usable signing keys at", "RSA, EC or Ed25519", 76},
	{"good", fine, "authorize", "ok", "redirect_uri http://localhost:", "", 0},
	{"callback", func(_ *testing.T, p *place) { p.page = "Callback URL mismatch" }, "authorize", "problem", "is not among the application's Allowed Callback URLs", "Allowed Callback URLs of application the-id", 78},
	{"client", func(_ *testing.T, p *place) { p.page = "Unknown client: the-id" }, "authorize", "problem", `no application with client_id "the-id"`, "set client_id", 78},
	{"audience", func(t *testing.T, p *place) {
		setenv(t, "TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com")
		p.authorize = "error=access_denied&error_description=Service+not+found:+https://api.example.com"
	}, "authorize", "problem", "access_denied: Service not found", "it is https://api.example.com", 78},
	{"good", fine, "endpoints", "ok", "all needed endpoints", "", 0},
	{"no token endpoint", func(_ *testing.T, p *place) { p.without = "token_endpoint" }, "endpoints", "problem", `has no "token_endpoint"`, "OpenID or OAuth provider", 76},
	{"good", fine, "clock", "ok", "agrees", "", 0},
	{"behind", func(_ *testing.T, p *place) { p.ahead = time.Hour }, "clock", "problem", "behind the provider's", "set the clock", 78},
	{"a little behind", func(_ *testing.T, p *place) { p.ahead = 20 * time.Second }, "clock", "warning", "behind the provider's", "set the clock", 0},
	{"own CA", func(t *testing.T, p *place) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		setenv(t, "TOKEND_CLIENT_DEMO_ISSUER="+s.URL+"/")
	}, "discovery", "problem", "signed by an authority", "SSL_CERT_FILE", 78},
	{"no grant for a login", func(t *testing.T, p *place) { setenv(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials"); p.page = "x" }, "keys", "ok", "1 usable", "", 0},
	{"X35 one callback", secondIssuer(), "mix-up", "problem", "clients demo and second have different issuers and the same redirect_uri http://localhost:", "set redirect_uri of one of them", 78},
	{"X35 two callbacks", secondIssuer("TOKEND_CLIENT_SECOND_REDIRECT_URI=http://LISTEN/callback"), "mix-up", "ok", "tell the issuers apart", "", 0},
	{"X35 a path of its own", secondIssuer("TOKEND_CLIENT_SECOND_REDIRECT_URI=http://LISTEN/callback/second"), "mix-up", "ok", "tell the issuers apart", "", 0},
	{"X35 named", named(secondIssuer()), "mix-up", "ok", "tell the issuers apart", "", 0},
	{"wrong", set("TOKEND_CLIENT_DEMO_ISSUER=ftp://x"), "settings", "skipped", "its configuration is wrong", "", 78},
}

// secondIssuer adds a client of another issuer.
func secondIssuer(fields ...string) func(*testing.T, *place) {
	return func(t *testing.T, p *place) {
		other := &place{named: p.named, authorize: p.authorize}
		other.tenant = httptest.NewServer(other.serveTenant(t))
		t.Cleanup(other.tenant.Close)
		setenv(t, "TOKEND_CLIENTS=demo,second", "TOKEND_CLIENT_SECOND_ISSUER="+other.tenant.URL+"/", "TOKEND_CLIENT_SECOND_CLIENT_ID=x",
			"TOKEND_CLIENT_SECOND_SCOPES=openid,offline_access")
		for _, f := range fields {
			setenv(t, strings.ReplaceAll(f, "LISTEN", os.Getenv("TOKEND_LISTEN")))
		}
	}
}

func named(spoil func(*testing.T, *place)) func(*testing.T, *place) {
	return func(t *testing.T, p *place) { p.named = true; spoil(t, p) }
}

func windowed(window string) func(*testing.T, *place) {
	return func(t *testing.T, p *place) {
		answersOnly(`"state":"ready","obtained":"2026-08-01T12:00:00Z","expiry":"2026-08-01T12:10:00Z"`)(t, p)
		setenv(t, "TOKEND_CLIENT_DEMO_REFRESH_"+window)
	}
}

// Each check fails once and passes once, and changes nothing that it reads.
func TestDoctor(t *testing.T) {
	seen := map[string]map[bool]bool{}
	var printed []doctor.Finding
	for _, cases := range [][]doctorCase{localCases, serviceCases, clientCases} {
		for _, c := range cases {
			if seen[c.check] == nil {
				seen[c.check] = map[bool]bool{}
			}
			seen[c.check][c.result == flow.ResultOK] = true
			t.Run(c.check+"/"+c.name, func(t *testing.T) {
				p := newPlace(t)
				c.spoil(t, p)
				e, o := p.examine(t)
				c.compare(t, e)
				printed = append(printed, e.Findings...)
				if o.code != c.code || o.code != exitOf(e) {
					t.Errorf("exit %d, want %d, by the findings %d", o.code, c.code, exitOf(e))
				}
			})
		}
	}
	e, _ := newPlace(t).examine(t, "--probe-secret")
	t.Run("docs", func(t *testing.T) { checkDocumentation(t, append(printed, e.Findings...)) })
	for check, results := range seen {
		if check != "keyset" && check != "service" && len(results) != 2 { // these have a line only when something is wrong
			t.Errorf("%s was only seen with ok: %v", check, results)
		}
	}
}

// compare wants one finding of the check to be as the case says.
func (c doctorCase) compare(t *testing.T, e examined) {
	t.Helper()
	for _, f := range e.of(c.check) {
		if f.Result == c.result && strings.Contains(f.Text, c.text) && strings.Contains(f.Hint, c.hint) && (c.hint == "") == (f.Hint == "") {
			if (f.Class != "") != (f.Result == flow.ResultProblem) {
				t.Errorf("class %q with %s", f.Class, f.Result)
			}
			return
		}
	}
	t.Errorf("want %s %q, hint %q; got %+v", c.result, c.text, c.hint, e.of(c.check))
}
