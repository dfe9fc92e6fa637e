package referees_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// exported are the types of objects that the tests export. Those of prompts need one
// request for each text and language.
const exported = `["tenant","clients","resourceServers","roles","clientGrants","connections","databases","actions","triggers","organizations","branding","guardianFactors","rules"]`

// addedByTenant is what an export has that the imported file does not: defaults of the
// tenant, and what is there before the import. docs/mock.md describes it.
var addedByTenant = []string{
	`branding.templates: []`,
	`clientGrants[*].subject_type: "client"`,
	`clients[*].custom_login_page_on: true`,
	`clients[*].is_token_endpoint_ip_header_trusted: false`,
	`clients[*].refresh_token: {"expiration_type":"non-expiring","idle_token_lifetime":2592000,"infinite_idle_token_lifetime":true,"infinite_token_lifetime":true,"leeway":0,"rotation_type":"non-rotating","token_lifetime":31557600}`,
	`clients[*].third_party_security_mode: "permissive"`,
	`clients[Management]`,
	`connections: []`,
	`databases[*].authentication: {"active":true}`,
	`databases[*].connected_accounts: {"active":false}`,
	`databases[*].is_domain_connection: false`,
	`databases[*].options.authentication_methods: {"email_otp":{"enabled":false},"passkey":{"enabled":false},"password":{"api_behavior":"required","enabled":true,"signup_behavior":"allow"},"phone_otp":{"enabled":false}}`,
	`databases[*].options.disable_self_service_change_password: false`,
	`databases[*].options.mfa: {"active":true,"return_enroll_settings":true}`,
	`databases[*].options.passkey_options: {"challenge_ui":"both","local_enrollment_enabled":true,"progressive_enrollment_enabled":true}`,
	`databases[*].options.strategy_version: 2`,
	`databases[*].realms: ["Username-Password-Authentication"]`,
	`guardianFactors[duo]`,
	`guardianFactors[email]`,
	`guardianFactors[push-notification]`,
	`guardianFactors[recovery-code]`,
	`guardianFactors[sms]`,
	`guardianFactors[webauthn-platform]`,
	`guardianFactors[webauthn-roaming]`,
	`organizations[*].client_grants: []`,
	`organizations[*].clients: []`,
	`organizations[*].connections: []`,
	`organizations[*].discovery_domains: []`,
	`resourceServers[*].subject_type_authorization: {"client":{"policy":"require_client_grant"},"user":{"policy":"allow_all"}}`,
	`roles[*].type: "tenant"`,
	`tenant.acr_values_supported: []`,
	`tenant.allow_organization_name_in_authentication_api: false`,
	`tenant.customize_mfa_in_postlogin_action: false`,
	`tenant.enabled_locales: ["en"]`,
	`tenant.flags.disable_clickjack_protection_headers: false`,
	`tenant.flags.enable_dynamic_client_registration: false`,
	`tenant.flags.mfa_show_factor_list_on_enrollment: false`,
	`tenant.oidc_logout: {"rp_logout_end_session_endpoint_discovery":true}`,
	`tenant.phone_consolidated_experience: false`,
	`tenant.pushed_authorization_requests_supported: true`,
	`tenant.session_cookie: {"mode":"persistent"}`,
	`tenant.sessions: {"oidc_logout_prompt_enabled":false}`,
	`tenant.universal_login: {"colors":{}}`,
	`triggers: {}`,
}

// storedOnly are members of a tenant file that a tenant which was started with it may not
// have, or has with a default: they have no effect.
var storedOnly = []string{
	"branding", "organizations[*].branding", "databases[*].options.disable_self_service_change_password",
	"clients[*].refresh_token.idle_token_lifetime", "clients[*].refresh_token.infinite_idle_token_lifetime",
	"clients[*].refresh_token.infinite_token_lifetime", "clients[*].refresh_token.token_lifetime",
	"tenant.allow_organization_name_in_authentication_api",
}

// deployCLI is auth0-deploy-cli and a tenant that it changes.
type deployCLI struct {
	t   *testing.T
	ten *tenant
	dir string

	token string // for imports
}

// run runs the tool as a person does. For an import it has a token: it would get one before
// it compiles its schema twice, and on a slow machine its connection would be closed then.
func (d *deployCLI) run(args ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nodejs(d.t), append([]string{filepath.Join(packages(d.t), "auth0-deploy-cli", "lib", "index.js")}, args...)...)
	cmd.Env = append(clean(), "NODE_EXTRA_CA_CERTS="+d.ten.ca, "AUTH0_DOMAIN="+d.ten.domain(), "AUTH0_CLIENT_ID=management")
	if args[0] == "import" {
		cmd.Env = append(cmd.Env, "AUTH0_ACCESS_TOKEN="+d.token)
	} else {
		cmd.Env = append(cmd.Env, "AUTH0_CLIENT_SECRET=management-secret", "AUTH0_INCLUDED_ONLY="+exported)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("auth0-deploy-cli %s: %v\n%s", args[0], err, out)
	}
}

// export returns the path of a file.
func (d *deployCLI) export(name string) string {
	d.t.Helper()
	to := filepath.Join(d.dir, name)
	d.run("export", "--format", "yaml", "--output_folder", to)
	return filepath.Join(to, "tenant.yaml")
}

// differences are those of two tenant files.
type differences struct{ Lost, Added, Changed []string }

func (d *deployCLI) compare(want, got string) differences {
	d.t.Helper()
	var out differences
	startScript(d.t, d.ten, "auth0-deploy-cli", object{"want": want, "got": got}).read(&out)
	return out
}

// TestRefereeAuth0DeployCLI: auth0-deploy-cli imports the example into a tenant and
// exports it again: nothing is lost or changed, and a second import changes nothing. A
// tenant that was started with the file has the same settings.
func TestRefereeAuth0DeployCLI(t *testing.T) {
	t.Parallel()
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "tenant", "tenant.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Abs(filepath.Join("testdata", "go-auth0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := &deployCLI{t: t, ten: startTenant(t, "MOCKAUTH0_TENANT="+base), dir: t.TempDir()}
	file := filepath.Join(d.dir, "import.yaml")
	startScript(t, d.ten, "auth0-deploy-cli", object{
		"copy": example, "to": file, "domain": d.ten.domain(), "client_id": "management", "client_secret": "management-secret",
	}).read(&d.token)
	d.run("import", "--input_file", file)
	first := d.export("first")
	d.run("import", "--input_file", file)
	second := d.export("second")

	if a, b := content(t, first), content(t, second); !bytes.Equal(a, b) {
		t.Errorf("the second import changes the tenant: %+v", d.compare(first, second))
	}
	if got := d.compare(file, first); len(got.Lost) > 0 || len(got.Changed) > 0 || !slices.Equal(got.Added, addedByTenant) {
		t.Errorf("lost %q\nchanged %q\nadded\n\t%s", got.Lost, got.Changed, strings.Join(got.Added, "\n\t"))
	}
	started := &deployCLI{t: t, ten: startTenant(t, "MOCKAUTH0_TENANT="+example), dir: d.dir}
	started.ten.addClient("management", object{"name": "Management", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}, "refresh_token": object{"rotation_type": "non-rotating", "expiration_type": "non-expiring"}})
	started.ten.control("POST", "client-grants", object{"client_id": "management", "audience": "https://mockauth0/api/v2/", "allow_all_scopes": true}, nil)
	got := d.compare(first, started.export("started"))
	for _, difference := range slices.Concat(got.Lost, got.Added, got.Changed) {
		if !slices.ContainsFunc(storedOnly, func(member string) bool { return strings.HasPrefix(difference, member) }) {
			t.Errorf("a tenant that was started with the file is another: %s", difference)
		}
	}
	signsIn(t, started.ten)
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signsIn: a person logs in to an application of the example, whose action
// adds a claim.
func signsIn(t *testing.T, ten *tenant) {
	t.Helper()
	const callback = "http://localhost:8484/callback"
	party, err := rp.NewRelyingPartyOIDC(t.Context(), ten.issuer, "web-portal", "web-portal-secret", callback, []string{"openid"})
	if err != nil {
		t.Fatal(err)
	}
	back := newBrowser(t, ten).until(callback).open(rp.AuthURL("state", party)).url
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), back.Query().Get("code"), party)
	if err != nil {
		t.Fatal(err)
	}
	if roles := tokens.IDTokenClaims.Claims["https://example.com/roles"]; roles != "agent " {
		t.Errorf("the action's claim is %v", roles)
	}
}
