package tenant_test

import (
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock/tenant"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, raw, organization string
		want                       bool
	}{
		{"https://app.example.com/cb", "https://app.example.com/cb", "", true},
		{"https://app.example.com/cb", "https://app.example.com/cb/", "", false},
		{"com.example.app://cb", "com.example.app://cb", "", true},
		{"https://*.example.com/cb", "https://a.example.com/cb", "", true},
		{"https://*.example.com:8443/cb", "https://a.example.com:8443/cb", "", true},
		{"https://*.example.com/cb", "https://a.b.example.com/cb", "", false},
		{"https://*.example.com/cb", "https://.example.com/cb", "", false},
		{"https://*.example.com/cb", "https://*.example.com/cb", "", false},
		{"https://*.example.com/cb", "https://evil.test/.example.com/cb", "", false},
		{"https://*.example.com/cb", "http://a.example.com/cb", "", false},
		{"https://pr-*-web.example.com/cb", "https://pr-42-web.example.com/cb", "", true},
		{"https://pr-*-web.example.com/cb", "https://pr--web.example.com/cb", "", false},
		{"https://pr-*-web.example.com/cb", "https://pr-web.example.com/cb", "", false},
		{"https://pr-*-web.example.com/cb", "https://x-42-web.example.com/cb", "", false},
		{"https://{organization_name}.example.com/cb", "https://acme.example.com/cb", "acme", true},
		{"https://{organization_name}.example.com/cb", "https://acme.example.com/cb", "", false},
		{"https://{organization_name}.example.com/cb", "https://acme.example.com/cb", "other", false},
		{"https://{organization_name}.example.com/cb", "https://.example.com/cb", "", false},
	} {
		p, err := tenant.ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.For(c.raw, c.organization) == c.raw; got != c.want {
			t.Errorf("%s, %s, %q: %v", c.pattern, c.raw, c.organization, got)
		}
	}
}

// A URL that breaks a rule matches nothing, not even itself.
func TestPatternsThatBreakARule(t *testing.T) {
	for _, raw := range []string{
		"https://sub.*.example.com/cb", "https://*.*.example.com/cb", "https://*.com/cb", "https://*/cb", "https://example.com/*",
		"https://example.com/?a=*", "com.example.app://*.x.y/cb", "https://a:*.example.com/", "https://*@a.example.com/", "*",
		"https://*.com@a.example.com/cb", "https://*..com/cb", "https://*.com./cb", "https://*.com:80.0/cb", "https://{organization_name}.com./",
		"https://app-{organization_name}.example.com/cb", "https://{organization_name}.*.example.com/cb", "https://{organization_name}.com/",
		"https://x.{organization_name}.example.com/", "https://{organization.metadata.public_x}.example.com/", "https://{custom_domain.metadata.public_x}/",
	} {
		p, err := tenant.ParsePattern(raw)
		if err == nil || p.For(raw, "acme") != "" {
			t.Errorf("%s is valid or matches itself", raw)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("https://pr-*-web.example.com/cb", "https://pr-42-web.example.com/cb", "acme")
	f.Add("https://{organization_name}.example.com/cb", "https://acme.example.com/cb", "acme")
	f.Fuzz(func(t *testing.T, pattern, raw, organization string) {
		p, err := tenant.ParsePattern(pattern)
		got := p.For(raw, organization)
		if err != nil && got != "" {
			t.Errorf("%q breaks a rule and matches %q", pattern, got)
		}
		if got == "" || pattern == got {
			return
		}
		host := func(s string) string { // scheme and host without the first label
			scheme, rest, _ := strings.Cut(s, "://")
			_, domain, _ := strings.Cut(rest, ".")
			return scheme + "://" + domain
		}
		if host(got) != host(pattern) || strings.Contains(got, "*") {
			t.Errorf("%q became %q", pattern, got)
		}
	})
}

func TestReservedClaims(t *testing.T) {
	for name, want := range map[string]bool{
		"iss": true, "org_name": true, "x5t#S256": true, "uuid": true, "urn:auth0": true, "urn:auth0:x": true,
		"https://auth0.com/x": true, "https://tenant.auth0.com/roles": true, "http://x.webtask.io/a": true, "https://WEBTASK.run/b": true,
		"plan": false, "name": false, "scope": false, "urn:auth00": false, "https://notauth0.com/x": false, "https://example.com/auth0.com": false, "": false,
	} {
		if got := tenant.ReservedClaim(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// What Auth0 stores and does not use is reported.
func TestNotes(t *testing.T) {
	no := false
	keys := &tenant.ClientAuth{}
	keys.PrivateKeyJWT.Credentials = []tenant.Credential{{KID: "k1", PEM: "garbage"}}
	e := &tenant.File{
		Clients: []tenant.Client{{
			Name: "Web", OrganizationRequire: "pre_login_prompt",
			Callbacks:         []string{"https://app.example.com/cb", "https://*.example.com/cb", "https://a.*.example.com/", "https://{organization_name}.x.example.com/"},
			AllowedLogoutURLs: []string{"https://{organization_name}.x.example.com/"},
			WebOrigins:        []string{"http://localhost:3000/", "http://localhost:3000"},
			Authentication:    keys,
		}, {ClientID: "third", IsFirstParty: &no, Callbacks: []string{"https://*.example.com/cb"}}},
		Actions: []tenant.Action{{SetIDToken: map[string]any{"plan": 1}}, {SetIDToken: map[string]any{"iss": 1, "act": 1}, SetAccessToken: map[string]any{"iss": 1}}},
	}
	want := []string{
		`client "Web": callbacks: "https://a.*.example.com/" never matches: a placeholder must be in the first label of the host`,
		`client "Web": callbacks: "https://{organization_name}.x.example.com/" never matches: {organization_name} needs organization_usage allow or require`,
		`client "Web": allowed_logout_urls: "https://{organization_name}.x.example.com/" never matches: the field has no {organization_name}`,
		`client "Web": web_origins: "http://localhost:3000/" never matches: an origin has no path, not even a slash`,
		`client "Web": the credential "k1" verifies nothing: pem is not an RSA public key in PEM`,
		`client "Web": organization_require_behavior pre_login_prompt has no effect without organization_usage require`,
		`client "third": callbacks: "https://*.example.com/cb" never matches: third-party clients have no placeholders`,
		`x-actions[1]: Auth0 drops the claims act, iss: their names are reserved`,
	}
	if got := e.Notes(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := tenant.Default().Notes(); got != nil {
		t.Errorf("the default tenant has %q", got)
	}
}
