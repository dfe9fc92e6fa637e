package tenantfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

func TestExampleExport(t *testing.T) {
	r, err := Load([]string{"../../examples/tenant/tenant.yaml"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := r.Tenant
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"clients", len(e.Clients), 20},
		{"APIs", len(e.ResourceServers), 5},
		{"organizations", len(e.Organizations), 3},
		{"grants", len(e.ClientGrants), 6},
		{"roles", len(e.Roles), 3},
		{"users", len(e.Users), 5},
		{"actions", len(e.Actions), 1},
		{"databases", len(e.Databases), 1},
	} {
		if c.got != c.want {
			t.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
	if got := e.Clients[0].RefreshToken.Leeway; got != 30 {
		t.Errorf("leeway of the first client is %d, want 30", got)
	}
	if _, err := mock.New(mock.Config{Tenant: e, Issuer: "http://localhost:8400/"}); err != nil {
		t.Error(r.Explain(err))
	}
	ignored := strings.Join(r.Ignored, "\n")
	for _, want := range []string{
		"branding (../../examples/tenant/tenant.yaml:", "guardianFactors", "requires a second factor only if an x-action does",
		"clients: cross_origin_authentication, jwt_configuration.secret_encoded, ", "sso_disabled: no effect; a real tenant with these values gives clients the same answers",
	} {
		if !strings.Contains(ignored, want) {
			t.Errorf("Ignored lacks %q:\n%s", want, ignored)
		}
	}
	if strings.Contains(ignored, "actions (") {
		t.Errorf("an empty section was mentioned:\n%s", ignored)
	}
}

// Load reports every error with its file and line.
func TestLoadReportsEveryError(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"wrong types": {
			"clients:\n  - name: A\n    callbacks: http://localhost/\n  - name: B\n    refresh_token:\n      leeway: soon\nusers: 7\n",
			"f.yaml:3: clients: callbacks must be a list, not a string\n" +
				"f.yaml:6: clients: refresh_token.leeway must be a whole number, not a string\n" +
				"f.yaml:7: users must be a list",
		},
		"syntax":          {"clients:\n  - name: [\n", "f.yaml:2: "},
		"empty":           {"", "f.yaml: the file is empty"},
		"not a mapping":   {"- a\n- b\n", "f.yaml:1: not a mapping of sections like clients and resourceServers"},
		"not an object":   {"clients:\n  - A\n", `f.yaml:2: clients: must be an object, not "A"`},
		"second document": {"clients: []\n---\nclients: []\n", "f.yaml:3: second YAML document"},
		"sections swapped": {
			"tenant: []\n", `f.yaml:1: tenant: must be an object, not "[]"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("f.yaml", []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load([]string{"f.yaml"}, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// An error that follows from another one is not reported, and no error twice.
func TestLoadReportsACauseOnce(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"syntax":         {"clients: [\n", "f.yaml:1: sequence end token ']' not found"},
		"clients a word": {"clients: A\nclientGrants: [{client_id: A, audience: b}]\n", "f.yaml:1: clients must be a list"},
		"roles a word":   {"clients: [{name: A}]\nroles: r\nusers: [{email: a, roles: [r]}]\n", "f.yaml:2: roles must be a list"},
		"client a word":  {"clients: [A]\nclientGrants: [{client_id: A, audience: b}]\n", `f.yaml:1: clients: must be an object, not "A"`},
		"no client":      {"users: [{email: a}]\n", "tenant: clients: a tenant needs at least one"},
		"a grant twice": {
			"clients: [{client_id: a, grant_types: [x, x]}]\n",
			`f.yaml:1: clients[0]: grant_types: "x" of client "a" is not one of authorization_code, implicit, refresh_token, client_credentials, password`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := loadText(t, c.in)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if r != nil && len(r.Ignored) > 0 {
				t.Errorf("ignored as well: %q", r.Ignored)
			}
		})
	}
	if _, err := Load([]string{"absent.yaml"}, Options{}); err == nil || err.Error() != "absent.yaml: no such file or directory" {
		t.Errorf("absent: %v", err)
	}
}

// loadText reads a tenant and makes it, as mockauth0 does.
func loadText(t *testing.T, text string) (*Result, error) {
	t.Helper()
	return loadOptions(t, text, Options{})
}

func loadOptions(t *testing.T, text string, o Options) (*Result, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("f.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Load([]string{"f.yaml"}, o)
	if err == nil {
		_, err = mock.New(mock.Config{Tenant: r.Tenant})
		err = r.Explain(err)
	}
	return r, err
}

// An error of the tenant gets the line of the member, or of the object.
func TestExplain(t *testing.T) {
	t.Chdir(t.TempDir())
	in := "clients:\n  - client_id: a\n  - client_id: b\n    token_endpoint_auth_method: magic\n  - client_id: a\nusers:\n  - email: x@example.com\n    roles: [king]\n"
	if err := os.WriteFile("f.yaml", []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Load([]string{"f.yaml"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = mock.New(mock.Config{Tenant: r.Tenant})
	got := r.Explain(err).Error()
	for _, want := range []string{"f.yaml:4: clients[1]: token_endpoint_auth_method: \"magic\"", "f.yaml:5: clients[2]: client_id: \"a\" is used twice", "f.yaml:8: users[0]: roles: "} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

// Several errors in one object, wrong types together with wrong values, and none that
// follows from another.
func TestLoadReportsTypesAndValuesTogether(t *testing.T) {
	t.Chdir(t.TempDir())
	in := `tenant:
  session_lifetime: -1
  error_page: {url: /error}
clients:
  - client_id: a
    token_endpoint_auth_method: magic
    jwt_configuration: {alg: none, lifetime_in_seconds: -1}
    organization_usage: maybe
    refresh_token:
      rotation_type: sometimes
      expiration_type: never
      leeway: -3
  - client_id: a
  - client_id: b
    callbacks: https://example.com/
    grant_types: [7]
resourceServers:
  - identifier: https://x/
    token_lifetime: -5
    signing_alg: ES256
    token_dialect: plain
  - identifier: https://x/
    token_lifetime_for_web: -6
clientGrants:
  - {client_id: a, audience: https://x/, scope: []}
  - {client_id: absent, audience: https://x/, scope: []}
roles: [{name: r}, {name: r}]
users:
  - email: u@example.com
    roles: [king]
  - email: u@example.com
organizations:
  - {name: o, members: [u@example.com]}
  - {name: o}
`
	if err := os.WriteFile("f.yaml", []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load([]string{"f.yaml"}, Options{})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"15: clients: callbacks must", "16: clients: grant_types must",
		"2: tenant: session_lifetime", "3: tenant: error_page.url",
		"6: clients[0]: token_endpoint_auth_method", "7: clients[0]: jwt_configuration.alg",
		"7: clients[0]: jwt_configuration.lifetime_in_seconds", "8: clients[0]: organization_usage",
		"10: clients[0]: refresh_token.rotation_type", "11: clients[0]: refresh_token.expiration_type",
		"12: clients[0]: refresh_token.leeway", "13: clients[1]: client_id",
		"20: resourceServers[0]: signing_alg", "19: resourceServers[0]: token_lifetime",
		"21: resourceServers[0]: token_dialect",
		"23: resourceServers[1]: token_lifetime_for_web", "22: resourceServers[1]: identifier",
		"26: clientGrants[1]: client_id", "27: roles[1]: name", "30: users[0]: roles", "31: users[1]: user_id",
		"34: organizations[1]: name",
	}
	got := strings.Split(err.Error(), "\n")
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], "f.yaml:"+want[i]) {
			t.Fatalf("error %d of %d is not %q:\n%s", i, len(want), want[min(i, len(want)-1)], err)
		}
	}
}

// auth0-deploy-cli's directory layout, joined with a file of users.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"export/tenant.json":                           `{"friendly_name":"Dir"}`,
		"export/clients/One.json":                      `{"name":"One","client_id":"one","logo_uri":"https://example.com/l.png"}`,
		"export/clients/Two.json":                      `{"name":"Two"}`,
		"export/resource-servers/API.json":             `{"name":"API","identifier":"https://api.example.com/"}`,
		"export/grants/Two.json":                       `{"client_id":"Two","audience":"https://api.example.com/","scope":[]}`,
		"export/database-connections/DB/database.json": `{"name":"DB","strategy":"auth0"}`,
		"export/database-connections/DB/login.js":      `function login() {}`,
		"export/email-templates/welcome.json":          `{}`,
		"users.yaml":                                   "users:\n  - email: a@example.com\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Load([]string{filepath.Join(dir, "export"), filepath.Join(dir, "users.yaml")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := r.Tenant
	if len(e.Clients) != 2 || len(e.ResourceServers) != 1 || len(e.ClientGrants) != 1 || len(e.Databases) != 1 || len(e.Users) != 1 ||
		e.Tenant.FriendlyName != "Dir" {
		t.Errorf("got %+v", e)
	}
	if _, err := mock.New(mock.Config{Tenant: e}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(r.Ignored, "\n"); !strings.Contains(got, "emailTemplates") || !strings.Contains(got, "logo_uri") {
		t.Errorf("ignored: %s", got)
	}
	if _, err := Load([]string{t.TempDir()}, Options{}); err == nil {
		t.Error("an empty directory was accepted")
	}
	if _, err := Load([]string{filepath.Join(dir, "absent")}, Options{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("absent: %v", err)
	}
}

// auth0-deploy-cli's replacement markers.
func TestKeywords(t *testing.T) {
	t.Chdir(t.TempDir())
	in := "clients:\n  - client_id: 'c-##ENV##'\n    callbacks: @@CALLBACKS@@\n    name: 'x ##UNSET##'\n"
	if err := os.WriteFile("f.yaml", []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Load([]string{"f.yaml"}, Options{Mappings: map[string]any{"ENV": "dev", "CALLBACKS": []any{"http://localhost:3000/"}}})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Tenant.Clients[0]
	if c.ClientID != "c-dev" || len(c.Callbacks) != 1 || c.Name != "x ##UNSET##" || !strings.Contains(strings.Join(r.Ignored, ""), "##UNSET##") {
		t.Errorf("got %+v, ignored %q", c, r.Ignored)
	}
}

// No input makes the loader panic, and every error has a text.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"clients:\n  - name: A\n", "a: &a [*a]\n", "{\"clients\":[{\"name\":\"x\"}]}", "users:\n  - <<: *x\n", "? [a]\n: b\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "f.yaml")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Load([]string{path}, Options{})
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without a text")
			}
			return
		}
		_, err = mock.New(mock.Config{Tenant: r.Tenant})
		_ = r.Explain(err)
	})
}

// A valid JSON export takes the fast path, and errors still have their lines.
func TestJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, in := range map[string]string{
		"good.json": "{\"clients\":[\n{\"client_id\":\"a\"},\n{\"client_id\":\"a\"}]}",
		"bad.json":  "{\"clients\":[\n{\"client_id\":\"a\"},\n{\"client_id\":7}]}",
	} {
		if err := os.WriteFile(name, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Load([]string{"good.json"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = mock.New(mock.Config{Tenant: r.Tenant})
	if got := r.Explain(err).Error(); !strings.HasPrefix(got, "good.json:3: clients[1]: client_id: ") {
		t.Errorf("got %s", got)
	}
	if _, err := Load([]string{"bad.json"}, Options{}); err == nil || !strings.HasPrefix(err.Error(), "bad.json:3: clients: client_id must be a string") {
		t.Errorf("got %v", err)
	}
}

// A valid value without effect is reported; an unknown grant is an error.
func TestUnserved(t *testing.T) {
	r, err := loadText(t, `
clients:
  - name: A
    app_type: zoom
    grant_types: [authorization_code, "urn:openid:params:grant-type:ciba", "urn:openid:params:grant-type:ciba"]
  - {name: B, app_type: spa}
resourceServers: [{identifier: "https://api.example.com/"}]
clientGrants:
  - {client_id: A, audience: "https://api.example.com/", scope: []}
  - {client_id: A, audience: "https://tenant.example.com/api/v2/", scope: []}
  - {client_id: A, audience: "https://tenant.example.com/api/", scope: []}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`client "A": the mock does not support the grant urn:openid:params:grant-type:ciba`,
		`client "A": the mock treats app_type zoom as regular_web`,
		`the client grant of "A" for https://tenant.example.com/api/ has no effect: no API in resourceServers has this identifier`,
	}
	if got := r.Tenant.Notes(); !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
	r, err = loadText(t, "clients:\n  - name: A\n    grant_types: [client_credential]\n")
	if err == nil || !strings.HasPrefix(err.Error(), `f.yaml:3: clients[0]: grant_types: "client_credential" of client `) ||
		!strings.HasSuffix(err.Error(), " is not one of authorization_code, implicit, refresh_token, client_credentials, password") {
		t.Errorf("got %v", err)
	}
	if len(r.Ignored) > 0 {
		t.Errorf("the error is also ignored: %q", r.Ignored)
	}
}
