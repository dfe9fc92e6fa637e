package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// opened is a configuration that opens a token and shows it by the echo provider.
func opened(provider, arguments string) string {
	return fmt.Sprintf(`
provider "tokend" {
%s
}
ephemeral "tokend_token" "this" {
%s
}
provider "echo" {
  data = ephemeral.tokend_token.this
}
resource "echo" "this" {}
`, provider, arguments)
}

func configured(f *fake) string {
	return fmt.Sprintf("endpoint = %q\napi_key = %q", f.URL, key)
}

func TestToken(t *testing.T) {
	terraform(t)
	f := newFake(t, map[string][]string{"/v1/clients/demo/token": {goodToken()}})
	shown := func(name, value string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("echo.this", tfjsonpath.New("data").AtMapKey(name), knownvalue.StringExact(value))
	}
	setting{}.run(t, resource.TestStep{
		Config: opened(configured(f), `client = "demo"
min_validity = "30m"
audience = "https://api.example.com/"
scopes = ["read:calls", "openid"]`),
		ConfigStateChecks: []statecheck.StateCheck{
			shown("access_token", accessToken), shown("token_type", "Bearer"), shown("expires_at", "2026-01-02T03:04:05Z"),
			shown("authorization_header", "Bearer "+accessToken), shown("client", "demo"), shown("min_validity", "30m"),
		},
	})
	const want = "audience=https%3A%2F%2Fapi.example.com%2F&min_validity=30m0s&scope=openid+read%3Acalls"
	queries := f.requests("/v1/clients/demo/token")
	if len(queries) == 0 || slices.ContainsFunc(queries, func(q string) bool { return q != want }) {
		t.Errorf("asked with %q, want %s each time", queries, want)
	}
	for _, r := range f.seen {
		if r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("User-Agent") != "terraform-provider-tokend" {
			t.Errorf("asked as %q by %q", r.Header.Get("Authorization"), r.UserAgent())
		}
	}
}

// TestTokenDefaults: the request has only configured parameters, and the variables are
// read.
func TestTokenDefaults(t *testing.T) {
	terraform(t)
	f := newFake(t, map[string][]string{"/v1/clients/demo/token": {goodToken()}})
	s := setting{env: map[string]string{"TOKEND_ADDR": f.URL, "TOKEND_API_KEY": key}}
	s.run(t, resource.TestStep{Config: opened("", `client = "demo"`)})
	if q := f.requests("/v1/clients/demo/token"); len(q) == 0 || q[0] != "" {
		t.Errorf("asked with %q, want nothing", q)
	}
}

// refusals of tokend, as its API words them.
const (
	loginRequired = `409 {"error":"login_required","error_description":"there is no grant yet","client":"demo","login":"browser","authorize_url":"https://tenant.example.com/authorize?client_id=demo&state=s"}`
	unknownClient = `404 {"error":"unknown_client","error_description":"there is no client of that name","hint":"tokend status lists them","client":"demo"}`
	wrongKey      = `401 {"error":"unauthorized","error_description":"unknown API key"}`
	clientRefused = `409 {"error":"client_rejected","error_description":"invalid_client: Unauthorized","hint":"check the client's secret","client":"demo"}`
	forbidden     = `403 {"error":"client_forbidden","error_description":"this API key may not use this client","client":"demo"}`
	providerDown  = `503 {"error":"idp_unreachable","error_description":"token endpoint: connection refused","client":"demo","retry_after":40}`
	nonsense      = `502 {"error":"idp_bad_response","error_description":"token answer without access_token","client":"demo"}`
	storeBroken   = `500 {"error":"store_unavailable","error_description":"the store does not answer","client":"demo"}`
	badAudience   = `400 {"error":"invalid_request","error_description":"audience is not known to the provider","client":"demo"}`
	proxied       = `403 {"error":"forbidden_forwarded","error_description":"the request came through a proxy (Via)"}`
	shortLived    = `200 {"access_token":"` + accessToken + `","token_type":"Bearer","expires_in":3590,"expires_at":"2026-01-02T03:04:05Z","min_validity_satisfied":false}`
	ready         = `200 {"client":"demo","state":"ready","expiry":"2026-01-02T03:04:05.7Z","obtained":"2026-01-02T02:04:05.7Z"}`
	otherToken    = `200 {"client":"demo","state":"ready","expiry":"2026-01-02T09:04:05Z","obtained":"2026-01-01T09:04:05Z"}` // of the client's own audience
	degraded      = `200 {"client":"demo","state":"degraded","failure":{"time":"2026-01-02T03:00:00Z","class":"idp_unreachable","description":"connection refused"}}`
)

// TestTokenRefusals: each failure is an error that says what to do, and shows
// neither key nor token.
// signIn returns a refusal that a login or a setting fixes.
func signIn(login, remedy string) string {
	return `409 {"error":"login_required","error_description":"there is no grant","hint":"give another","client":"demo","login":"` + login +
		`","remedy":"` + remedy + `","authorize_url":"https://tenant.example.com/authorize?client_id=demo&state=s"}`
}

func TestTokenRefusals(t *testing.T) {
	terraform(t)
	const demo = `client = "demo"`
	const three = "client = \"demo\"\nmin_validity = \"3h\""
	tests := []struct {
		name, token, state, list string
		arguments                string
		want                     []string // patterns, in order
	}{
		{"login required", loginRequired, "", "", demo, []string{
			"Login required", "there is no grant yet", "  tokend login demo --browser", "  tokend login demo --paste",
			`  https://tenant\.example\.com/authorize\?client_id=demo&state=s`, "run Terraform again",
		}},
		{"login required, headless", signIn("headless", ""), "", "", demo, []string{"Log it in on the machine", `  tokend login demo\s+Then run Terraform again`}},
		{"login required, device", signIn("device", ""), "", "", demo, []string{`  tokend login demo\s+Then run Terraform again`}},
		{"login required, password", signIn("", ""), "", "", demo, []string{`  tokend login demo\s+Then run Terraform again`}},
		{"login required, paste", signIn("paste", ""), "", "", demo, []string{"  tokend login demo --paste", "run Terraform again"}},
		{"login required, a page", signIn("headless", "browser"), "", "", demo, []string{"  tokend login demo --browser", "  tokend login demo --paste", `  https://tenant\.example\.com/authorize`}},
		{"login required, a seed", signIn("", "setting"), "", "", demo, []string{"Hint: give another", "run Terraform again"}},
		{"unknown client", unknownClient, "", `200 {"clients":[{"client":"ci"},{"client":"other"}]}`, demo, []string{
			"Unknown client", `client = "demo"`, `has no client "demo"`, "Correct the name", "The clients are: ci, other",
		}},
		{"unknown client, no list", unknownClient, "", "", demo, []string{"Unknown client", "  tokend status"}},
		{"wrong key", wrongKey, "", "", demo, []string{
			"tokend refuses the key", "unknown API key", "came from api_key of the provider's configuration", "TOKEND_API_KEY_FILE", "needs none",
		}},
		{"client rejected", clientRefused, "", "", demo, []string{"provider refuses the client", "invalid_client: Unauthorized", "Hint: check the client's secret", "Retrying does not help"}},
		{"key of other clients", forbidden, "", "", demo, []string{"may not use this client", "Use another key"}},
		{"provider down", providerDown, "", "", demo, []string{"No token at the moment", "idp_unreachable", "connection refused", "  tokend status"}},
		{"provider's nonsense", nonsense, "", "", demo, []string{"No token at the moment", "idp_bad_response", "Try again"}},
		{"store broken", storeBroken, "", "", demo, []string{"No token at the moment", "store_unavailable"}},
		{"bad audience", badAudience, "", "", demo, []string{"tokend refuses the request", "audience is not known"}},
		{"through a proxy", proxied, "", "", demo, []string{"tokend refuses the request", "came through a proxy"}},
		{"more than the maximum", shortLived, ready, "", three, []string{
			"min_validity is more than the provider's maximum", `min_validity = "3h"`,
			"min_validity is 3h0m0s", `issues to client "demo" live for 1h0m0s`, "valid for 59m50s", "at most 54m0s", "token_lifetime", "tokend's proxy",
		}},
		{"more than the maximum of another audience", shortLived, otherToken, "", three, []string{"provider's maximum", "live for about 59m50s"}},
		{"more than the maximum, state unknown", shortLived, "", "", three, []string{"provider's maximum", "live for about 59m50s"}},
		{"no fresher one", shortLived, degraded, "", three, []string{"expires too soon", "valid for 59m50s", "could not get a new one", `idp_unreachable \(connection refused\)`}},
		{"a page", "200 <html>", "", "", demo, []string{"Not tokend", "Set endpoint or TOKEND_ADDR"}},
		{"an error of another server", "404 no", "", "", demo, []string{"Not tokend", "status 404 without its body"}},
		{"an empty token", `200 {"access_token":"","token_type":"Bearer","expires_at":"2026-01-02T03:04:05Z","min_validity_satisfied":true}`, "", "", demo, []string{"Not tokend", "no usable token"}},
		{"a token with a newline", `200 {"access_token":"a\nX-Evil: 1","token_type":"Bearer","expires_at":"2026-01-02T03:04:05Z","min_validity_satisfied":true}`, "", "", demo, []string{"no usable token"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answers := map[string][]string{"/v1/clients/demo/token": {tt.token}}
			for path, answer := range map[string]string{"/v1/clients/demo": tt.state, "/v1/clients": tt.list} {
				if answer != "" {
					answers[path] = []string{answer}
				}
			}
			f := newFake(t, answers)
			s := setting{wait: func(context.Context, time.Duration) error { return nil }}
			s.run(t, resource.TestStep{Config: opened(configured(f), tt.arguments), ExpectError: refusal(tt.want)})
		})
	}
}

// refusal matches patterns in order, however Terraform wraps the text, and
// nothing that holds a secret.
func refusal(patterns []string) *regexp.Regexp {
	for i, p := range patterns {
		if !strings.HasPrefix(p, "  ") { // such a line is not wrapped
			p = strings.Join(strings.Fields(p), `\s+`)
		}
		patterns[i] = p
	}
	return regexp.MustCompile(`(?s)` + strings.Join(patterns, `.*`))
}

// TestTokenArguments: validation finds errors that need no request.
func TestTokenArguments(t *testing.T) {
	terraform(t)
	f := newFake(t, nil)
	tests := []struct{ name, provider, arguments, want string }{
		{"min_validity is text", "", "client = \"demo\"\nmin_validity = \"long\"", `min_validity is not a duration.*not a duration such as "30m"`},
		{"min_validity without a unit", "", "client = \"demo\"\nmin_validity = \"600\"", `min_validity is not a duration`},
		{"negative", "", "client = \"demo\"\nmin_validity = \"-1m\"", `It is negative`},
		{"no client", "", "", `"client" is required`},
		{"name", "", `client = "De mo/../x"`, `client is not a client's name.*tokend\s+status\s+lists`},
		{"empty scopes", "", "client = \"demo\"\nscopes = []", `scopes is empty.*Use null`},
		{"two scopes in one", "", "client = \"demo\"\nscopes = [\"a b\"]", `scopes is not made of valid scopes.*one\s+scope\s+per\s+element`},
		{"endpoint elsewhere", `endpoint = "http://tokend.example.com:8484"`, `client = "demo"`, `endpoint is not an address of tokend.*names tokend.example.com`},
		{"endpoint of another scheme", `endpoint = "tcp://127.0.0.1:8484"`, `client = "demo"`, `is not http://HOST:PORT,\s+https://HOST:PORT\s+or\s+unix:/path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setting{}.run(t, resource.TestStep{
				Config: opened(tt.provider, tt.arguments), PlanOnly: true, ExpectError: regexp.MustCompile(`(?s)` + tt.want),
			})
		})
	}
	if len(f.seen) > 0 {
		t.Errorf("%d requests", len(f.seen))
	}
}

// TestUnknownConfiguration: a key that exists only after apply would be an
// empty one during plan.
func TestUnknownConfiguration(t *testing.T) {
	terraform(t)
	f := newFake(t, map[string][]string{"/v1/clients/demo/token": {goodToken()}})
	for _, name := range []string{"endpoint", "api_key"} {
		t.Run(name, func(t *testing.T) {
			setting{env: map[string]string{"TOKEND_ADDR": f.URL}}.run(t, resource.TestStep{
				Config:      `resource "terraform_data" "later" {}` + opened(name+" = terraform_data.later.id", `client = "demo"`),
				ExpectError: refusal([]string{name + " is not known yet", name + " = terraform_data.later.id", "needed before: during plan", "set TOKEND_A", "-target"}),
			})
		})
	}
	if len(f.seen) > 0 {
		t.Errorf("%d requests with an unknown configuration", len(f.seen))
	}
}

// TestUnreachable: no server listens there.
func TestUnreachable(t *testing.T) {
	terraform(t)
	f := newFake(t, nil)
	f.Close()
	dir := t.TempDir()
	tests := []struct {
		name, provider string
		env            map[string]string
		want           []string
	}{
		{"port", configured(f), nil, []string{"tokend is not reachable", regexp.QuoteMeta(f.URL), "connection refused", "  tokend serve", "set endpoint or TOKEND_ADDR"}},
		{"socket", `endpoint = "unix:` + dir + `/none.sock"`, nil, []string{"tokend is not reachable", "none.sock", "no such file", "  tokend serve"}},
		{"default places", "", map[string]string{"XDG_RUNTIME_DIR": dir, "TOKEND_LISTEN": strings.TrimPrefix(f.URL, "http://")}, []string{
			"tokend is not reachable", "tokend/tokend.sock or http://127", "no such file", "connection refused",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setting{env: tt.env}.run(t, resource.TestStep{Config: opened(tt.provider, `client = "demo"`), ExpectError: refusal(tt.want)})
		})
	}
}

// TestNoKey says where a key is looked for.
func TestNoKey(t *testing.T) {
	terraform(t)
	f := newFake(t, map[string][]string{"/v1/clients/demo/token": {`401 {"error":"unauthorized","error_description":"no API key"}`}})
	setting{}.run(t, resource.TestStep{
		Config:      opened(fmt.Sprintf("endpoint = %q", f.URL), `client = "demo"`),
		ExpectError: refusal([]string{"tokend refuses the key", "No key was found", "set api_key, TOKEND_API_KEY"}),
	})
	if h := f.seen[0].Header["Authorization"]; h != nil {
		t.Errorf("sent %q", h)
	}
}

// TestKeyFault: an API key that cannot be read is reported before any request.
func TestKeyFault(t *testing.T) {
	terraform(t)
	setting{env: map[string]string{"TOKEND_API_KEY": key, "TOKEND_API_KEY_FILE": "/x"}}.run(t, resource.TestStep{
		Config:      opened("", `client = "demo"`),
		ExpectError: refusal([]string{"invalid settings of tokend", "TOKEND_API_KEY and TOKEND_API_KEY_FILE are both set", "Hint: unset one of them"}),
	})
}

// TestRedirect: the key is not sent to the target of a redirect.
func TestRedirect(t *testing.T) {
	terraform(t)
	var leaked []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = append(leaked, r.URL.Path) }))
	defer other.Close()
	f := newFake(t, map[string][]string{"/v1/clients/demo/token": {"307 Location: " + other.URL + "/stolen"}})
	setting{}.run(t, resource.TestStep{
		Config: opened(configured(f), `client = "demo"`), ExpectError: refusal([]string{"Not tokend", "status 307"}),
	})
	if leaked != nil {
		t.Errorf("followed to %q", leaked)
	}
}
