package tenantfile

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

const exportIssuer = "http://localhost:8400/"

// managed is a tenant and a token for its Management API.
type managed struct {
	*mock.Tenant
	token, scopes string
}

// allScopes returns the scopes of the Management API, separated by spaces.
func allScopes(t *testing.T) string {
	t.Helper()
	api, err := management.New()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(api.Scopes(), " ")
}

func manage(t fataler, scopes string, c mock.Config) *managed {
	t.Helper()
	c.Issuer = exportIssuer
	tn, err := mock.New(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	m := &managed{Tenant: tn, scopes: scopes}
	answer := httptest.NewRecorder()
	r := httptest.NewRequest("POST", exportIssuer+"_mock/tokens", strings.NewReader(`{"management":true,"client_id":"management","scope":"`+scopes+`"}`))
	tn.ServeHTTP(answer, r)
	var issued struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &issued); err != nil || issued.Access == "" {
		t.Fatalf("no token: %s", answer.Body)
	}
	m.token = issued.Access
	return m
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func (m *managed) call(method, path, body string) (status int, answer string) {
	r := httptest.NewRequest(method, exportIssuer+"api/v2"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+m.token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// ids returns the ids of a list of the API, escaped.
func (m *managed) ids(list, name string) []string {
	_, body := m.call("GET", list, "")
	var objects []map[string]any
	if json.Unmarshal([]byte(body), &objects) != nil {
		var o map[string]json.RawMessage
		_ = json.Unmarshal([]byte(body), &o)
		for _, v := range o {
			if json.Unmarshal(v, &objects) == nil && len(objects) > 0 {
				break
			}
		}
	}
	var out []string
	for _, o := range objects {
		if id, _ := o[name].(string); id != "" {
			out = append(out, url.PathEscape(id))
		}
	}
	return out
}

// exportedIDs are the lists of ids that the paths and bodies of changes name in braces.
var exportedIDs = map[string][2]string{
	"client": {"/clients?per_page=100", "client_id"}, "api": {"/resource-servers?per_page=100", "id"}, "grant": {"/client-grants?per_page=100", "id"},
	"role": {"/roles?per_page=100", "id"}, "user": {"/users?per_page=100", "user_id"}, "org": {"/organizations?per_page=100", "id"},
	"conn": {"/connections?per_page=100", "id"}, "action": {"/actions/actions?per_page=100", "id"}, "module": {"/actions/modules", "id"}, "rule": {"/rules", "id"},
}

// exportChanges are what is done at random: N is a small number, and a name in braces the
// id of an object.
var exportChanges = []string{
	`POST /clients {"name":"app N","description":"line\nother","callbacks":[],"client_metadata":{"a b":"##KEY##","c":"@@KEY@@"}}`,
	`POST /clients {"name":"app N","app_type":"spa","jwt_configuration":{"alg":"RS256"},"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0}}`,
	`POST /clients {"name":"m2m N","app_type":"non_interactive","organization_usage":"allow","default_organization":{"organization_id":"{org}","flows":["client_credentials"]}}`,
	`POST /clients {"name":"backchannel N","app_type":"regular_web","grant_types":["urn:openid:params:grant-type:ciba"]}`,
	`POST /clients {"name":"key N","client_authentication_methods":{"private_key_jwt":{"credentials":[{"credential_type":"public_key","pem":"PEM","name":"k"}]}}}`,
	`POST /clients {"name":"third N","is_first_party":false,"compliance_level":"fapi1_adv_pkj_par","addons":{"samlp":{"x":[1,null,{"y":""}]}}}`,
	`PATCH /clients/{client} {"description":null,"jwt_configuration":null,"custom_login_page_on":null}`,
	`PATCH /clients/{client} {"callbacks":["https://*.example.com/cb","http://localhost:N/"],"logo_uri":"https://x.example/","oidc_conformant":true}`,
	`PATCH /clients/{client} {"token_endpoint_auth_method":"none","refresh_token":null}`,
	`POST /clients/{client}/rotate-secret`,
	`POST /clients/{client}/credentials {"credential_type":"public_key","pem":"PEM"}`,
	`DELETE /clients/{client}`,
	`POST /resource-servers {"identifier":"urn:api:N","name":"API N","scopes":[{"value":"read:N","description":"d"},{"value":"write"}]}`,
	`POST /resource-servers {"identifier":"https://api.N/","signing_alg":"HS256","token_dialect":"rfc9068_profile_authz","enforce_policies":true,"token_lifetime":60}`,
	`PATCH /resource-servers/{api} {"token_lifetime":90N,"skip_consent_for_verifiable_first_party_clients":true}`,
	`PATCH /resource-servers/{api} {"scopes":[],"consent_policy":"transactional-authorization-with-mfa","authorization_details":[{"type":"payment"}],"subject_type_authorization":null}`,
	`DELETE /resource-servers/{api}`,
	`POST /client-grants {"client_id":"{client}","audience":"https://api.example.com/","scope":["read:calls"]}`,
	`POST /client-grants {"client_id":"{client}","audience":"urn:api:N","scope":[],"organization_usage":"allow","allow_any_organization":true}`,
	`POST /client-grants {"client_id":"{client}","audience":"http://localhost:8400/api/v2/","scope":["read:users"],"organization_usage":"require"}`,
	`PATCH /client-grants/{grant} {"scope":[],"allow_all_scopes":false}`,
	`DELETE /client-grants/{grant}`,
	`POST /roles {"name":"role N","description":"d"}`,
	`POST /roles {"name":"role 1"}`,
	`PATCH /roles/{role} {"name":"role N","description":""}`,
	`POST /roles/{role}/permissions {"permissions":[{"permission_name":"read:calls","resource_server_identifier":"https://api.example.com/"}]}`,
	`DELETE /roles/{role}/permissions {"permissions":[{"permission_name":"read:calls","resource_server_identifier":"https://api.example.com/"}]}`,
	`DELETE /roles/{role}`,
	`POST /users {"connection":"Username-Password-Authentication","email":"u-N@example.com","password":"secret ##KEY##","verify_email":false}`,
	`POST /users {"connection":"Username-Password-Authentication","email":"v-N@example.com","password":"p","user_metadata":{"a":{"b.c":[]}},"app_metadata":{},"name":"1e3","blocked":true}`,
	`POST /users {"connection":"db-N","email":"u-N@example.com","password":"p","user_id":"own-N","username":"name-N"}`,
	`POST /users {"connection":"email","email":"w-N@example.com","email_verified":true}`,
	`PATCH /users/{user} {"nickname":null,"picture":null,"given_name":"G","user_metadata":{"a":null,"z":1.5}}`,
	`PATCH /users/{user} {"password":"new-N","connection":"Username-Password-Authentication"}`,
	`PATCH /users/{user} {"email":"x-N@example.com"}`,
	`POST /users/{user}/roles {"roles":["{role}"]}`,
	`DELETE /users/{user}/roles {"roles":["{role}"]}`,
	`POST /users/{user}/permissions {"permissions":[{"permission_name":"read:calls","resource_server_identifier":"https://api.example.com/"}]}`,
	`POST /users/{user}/authentication-methods {"type":"totp","name":"n","totp_secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}`,
	`POST /users/{user}/identities {"provider":"auth0","user_id":"{user}"}`,
	`DELETE /users/{user}`,
	`POST /connections {"name":"db-N","strategy":"auth0","options":{"passwordPolicy":"low","requires_username":false,"custom":null},"enabled_clients":["{client}"]}`,
	`POST /connections {"name":"email","strategy":"email","options":{"brute_force_protection":true}}`,
	`POST /connections {"name":"google-N","strategy":"google-oauth2","options":{"client_id":"c","client_secret":"s","scope":["email"]},"display_name":"G"}`,
	`POST /connections {"name":"okta-N","strategy":"okta","options":{"domain":"x.okta.com","client_id":"c"}}`,
	`PATCH /connections/{conn} {"options":{"disable_signup":true},"display_name":null,"show_as_button":true,"metadata":{"k":"v"}}`,
	`PATCH /connections/{conn} {"realms":null,"authentication":null}`,
	`PATCH /connections/{conn}/clients [{"client_id":"{client}","status":true}]`,
	`POST /connections/{conn}/scim-configuration {"user_id_attribute":"externalId"}`,
	`GET /connections/{conn}/keys`,
	`DELETE /connections/{conn}`,
	`POST /organizations {"name":"org-N","display_name":"O","metadata":{"a":"b"},"branding":{"colors":{"primary":"#ffffff"}}}`,
	`PATCH /organizations/{org} {"display_name":"##KEY##","metadata":{}}`,
	`POST /organizations/{org}/members {"members":["{user}"]}`,
	`POST /organizations/{org}/members/{user}/roles {"roles":["{role}"]}`,
	`POST /organizations/{org}/connections {"connection_id":"{conn}","assign_membership_on_login":true}`,
	`POST /organizations/{org}/client-grants {"grant_id":"{grant}"}`,
	`POST /organizations/{org}/clients {"clients":[{"client_id":"{client}"}]}`,
	`POST /organizations/{org}/discovery-domains {"domain":"d-N.example"}`,
	`DELETE /organizations/{org}`,
	`PATCH /tenants/settings {"friendly_name":"T N","session_lifetime_in_minutes":90,"flags":{"enable_sso":null,"x":true},"enabled_locales":["de"],"allowed_logout_urls":[]}`,
	`PATCH /tenants/settings {"error_page":{"url":"https://e.example/","html":"<b>"},"mtls":{"enable_endpoint_aliases":true},"session_cookie":null,"default_audience":""}`,
	`POST /actions/actions {"name":"action N","supported_triggers":[{"id":"post-login","version":"v3"}],"code":"exports.x = () => {\n  return '##KEY##'\n}\n","secrets":[{"name":"S","value":"v"}]}`,
	`POST /actions/actions/{action}/deploy`,
	`PATCH /actions/actions/{action} {"code":"//N"}`,
	`PATCH /actions/triggers/post-login/bindings {"bindings":[{"ref":{"type":"action_id","value":"{action}"},"display_name":"shown"}]}`,
	`DELETE /actions/actions/{action}?force=true`,
	`POST /actions/modules {"name":"module N","code":"x","publish":true}`,
	`POST /rules {"name":"rule N","script":"function(){}"}`,
	`DELETE /rules/{rule}`,
	`PATCH /branding {"colors":{"primary":"#00000N"}}`,
	`PATCH /prompts {"identifier_first":true}`,
	`PUT /guardian/factors/otp {"enabled":true}`,
}

const exportPEM = `-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u\n+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyeh\nkd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ\n0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdg\ncKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbc\nmwIDAQAB\n-----END PUBLIC KEY-----\n`

// change makes one change at random and returns how it was answered.
func (m *managed) change(t *rapid.T) string {
	method, rest, _ := strings.Cut(rapid.SampledFrom(exportChanges).Draw(t, "change"), " ")
	rest = strings.ReplaceAll(rest, "N", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "N")))
	rest = strings.ReplaceAll(rest, "PEM", exportPEM)
	path, body, _ := strings.Cut(rest, " ")
	for name, list := range exportedIDs {
		if !strings.Contains(rest, "{"+name+"}") {
			continue
		}
		all := m.ids(list[0], list[1])
		if len(all) == 0 {
			return "no " + name
		}
		id := rapid.SampledFrom(all).Draw(t, name)
		plain, _ := url.PathUnescape(id)
		if id == "management" && method == "DELETE" && strings.HasPrefix(path, "/clients") {
			return "the test's own client"
		}
		path = strings.ReplaceAll(path, "{"+name+"}", id)
		body = strings.ReplaceAll(body, "{"+name+"}", plain)
	}
	status, answer := m.call(method, path, body)
	if status >= 500 {
		t.Fatalf("%s %s %s: %d %s", method, path, body, status, answer)
	}
	return fmt.Sprintf("%s %s: %d", method, path, status)
}

// shown is what the API answers to all reads of objects.
func (m *managed) shown() map[string]string {
	out := map[string]string{}
	read := func(path string) {
		_, body := m.call("GET", path, "")
		out[path] = body
	}
	for _, path := range []string{
		"/clients?per_page=100", "/resource-servers?per_page=100", "/client-grants?per_page=100", "/roles?per_page=100", "/users?per_page=100", "/organizations?per_page=100",
		"/connections?per_page=100", "/tenants/settings", "/actions/actions?per_page=100", "/actions/triggers/post-login/bindings", "/actions/modules", "/rules", "/branding", "/prompts",
		"/guardian/factors",
	} {
		read(path)
	}
	for name, below := range map[string][]string{
		"client": {"/credentials", "/connections"}, "role": {"/permissions", "/users"}, "user": {"/roles", "/permissions", "/organizations", "/authentication-methods"},
		"org": {"/members", "/connections", "/client-grants", "/clients", "/discovery-domains"}, "conn": {"/clients", "/scim-configuration", "/keys"},
		"action": {"", "/versions"}, "module": {"", "/versions"},
	} {
		list := exportedIDs[name]
		top, _, _ := strings.Cut(list[0], "?")
		for _, id := range m.ids(list[0], list[1]) {
			for _, path := range below {
				read(top + "/" + id + path)
			}
		}
	}
	for _, org := range m.ids(exportedIDs["org"][0], "id") {
		for _, user := range m.ids("/organizations/"+org+"/members", "user_id") {
			read("/organizations/" + org + "/members/" + user + "/roles")
		}
	}
	return out
}

// reloaded writes the tenant's export to a file, and loads it as mockauth0 would.
func (m *managed) reloaded(t fataler, dir string) (*managed, []byte) {
	t.Helper()
	e, err := m.Export()
	if err != nil {
		t.Fatalf("%v", err)
	}
	text, err := YAML(e.File)
	if err != nil {
		t.Fatalf("%v", err)
	}
	path := filepath.Join(dir, "export.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	r, err := Load([]string{path}, Options{Mappings: map[string]any{"KEY": "replaced"}})
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if len(r.Ignored) > 0 {
		t.Fatalf("of the tenant's own export it ignores:\n%s", strings.Join(r.Ignored, "\n"))
	}
	return manage(t, m.scopes, mock.Config{Tenant: r.Tenant, Now: m.Now}), text
}

// Whatever the Management API creates and changes is in the export: a tenant of the file
// answers all reads in the same way, and its export is the same file.
func TestExport_IsTheStateThatTheManagementAPIShows(t *testing.T) {
	dir, scopes := t.TempDir(), allScopes(t)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		m := manage(t, scopes, mock.Config{Tenant: tenant.Default(), Now: func() time.Time { return now }})
		for range rapid.IntRange(3, 30).Draw(t, "changes") {
			t.Log(m.change(t))
		}
		before := m.shown()
		again, first := m.reloaded(t, dir)
		for path, want := range before {
			if _, got := again.call("GET", path, ""); got != want {
				was, now := difference(want, got)
				t.Fatalf("GET %s\nwas %s\nnow %s", path, was, now)
			}
		}
		if _, second := again.reloaded(t, dir); string(second) != string(first) {
			was, now := difference(string(first), string(second))
			t.Fatalf("the export of the export has\n%s\nand not\n%s", now, was)
		}
	})
}

// difference returns the parts of two texts around the place where they differ.
func difference(a, b string) (string, string) {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	part := func(s string) string { return s[max(0, at-300):min(len(s), at+300)] }
	return part(a), part(b)
}
