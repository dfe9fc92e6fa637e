package mock_test

import (
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

const keyPEM = `-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u\n+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyeh\nkd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ\n0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdg\ncKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbc\nmwIDAQAB\n-----END PUBLIC KEY-----\n`

// furnished is a manager with an object of each kind, whose ids the paths name in braces.
func furnished(tb testing.TB) (*manager, func(string) string) {
	tb.Helper()
	m := newManager(tb)
	ids := []string{}
	add := func(name, id string) { ids = append(ids, "{"+name+"}", id) }
	add("db", m.first("/connections"))
	add("client", m.id("/clients", `{"name":"c","organization_usage":"allow"}`))
	add("plain", m.id("/clients", `{"name":"p"}`))
	add("express", m.id("/clients", `{"name":"e","app_type":"express_configuration"}`))
	add("api", m.id("/resource-servers", `{"identifier":"urn:a","scopes":[{"value":"s"}]}`))
	add("role", m.id("/roles", `{"name":"r"}`))
	add("org", m.id("/organizations", `{"name":"o"}`))
	add("other", m.id("/organizations", `{"name":"other"}`))
	user := m.userID(agent)
	add("user", escape(user))
	add("bare", strings.TrimPrefix(user, "auth0|"))
	add("guest", escape(m.userID(guest)))
	add("action", m.id("/actions/actions", `{"name":"a","supported_triggers":[{"id":"post-login"}]}`))
	add("second", m.id("/actions/actions", `{"name":"b","supported_triggers":[{"id":"post-login"}]}`))
	m.must("POST", strings.NewReplacer(ids...).Replace("/organizations/{other}/members"), `{"members":["`+m.userID(guest)+`"]}`)
	m.must("POST", "/connections", `{"name":"sms","strategy":"sms"}`)
	add("module", m.id("/actions/modules", `{"name":"m","code":""}`))
	client := ids[3]
	add("credential", m.id("/clients/"+client+"/credentials", `{"credential_type":"public_key","pem":"`+keyPEM+`"}`))
	fill := strings.NewReplacer(ids...).Replace
	m.must("POST", fill("/actions/actions/{second}/deploy"), "")
	m.must("PATCH", "/actions/triggers/post-login/bindings", fill(`{"bindings":[{"ref":{"type":"action_id","value":"{second}"}}]}`))
	m.must("POST", fill("/organizations/{org}/connections"), fill(`{"connection_id":"{db}"}`))
	m.must("POST", fill("/organizations/{org}/discovery-domains"), `{"domain":"a.example"}`)
	m.must("PATCH", fill("/connections/{db}"), `{"options":{"attributes":{"email":{"unique":true,"identifier":{"active":true}}}}}`)
	return m, fill
}

// What a real tenant refuses is refused with a 4xx in the API's form, and changes nothing.
func TestManagement_RefusesWhatIsNotValid(t *testing.T) {
	m, fill := furnished(t)
	long := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	vault := func(credentials, grants, addresses string) string {
		return `{"name":"v","token_vault_privileged_access":{"credentials":` + credentials + `,"grants":` + grants + `,"ip_allowlist":` + addresses + `}}`
	}
	const cred, grant, address = `[{"credential_type":"public_key","pem":"` + keyPEM + `"}]`, `[{"connection":"c","scopes":["s"]}]`, `["10.0.0.1"]`
	for _, c := range []struct {
		call, body string
		status     int
		text       string // of the message
	}{
		{"POST /clients", `{"name":`, 400, "Invalid request payload JSON format"},
		{"POST /clients", `{"name":"a"} {}`, 400, "Invalid request payload JSON format"},
		{"POST /clients", `[]`, 400, "Expected type object but found type array"},
		{"POST /clients", ``, 400, "Missing required property: name"},
		{"POST /clients", `{"name":1}`, 400, "Expected type string but found type integer' on property name"},
		{"POST /clients", `{"name":null}`, 400, "Expected type string but found type null"},
		{"POST /clients", `{"name":""}`, 400, "format client-name"},
		{"POST /clients", `{"name":"<b>"}`, 400, "format client-name"},
		{"POST /clients", `{"name":"a","callbacks":["http://a/","http://a/"]}`, 400, "Array items are not unique (indexes 0 and 1)' on property callbacks"},
		{"POST /clients", `{"name":"a","callbacks":"http://a/"}`, 400, "Expected type array but found type string"},
		{"POST /clients", `{"name":"a","refresh_token":{"leway":1}}`, 400, "Additional properties not allowed: leway' on property refresh_token ({description})."},
		{"POST /clients", `{"name":"a","refresh_token":{"leeway":1.5}}`, 400, "Expected type integer but found type number' on property refresh_token.leeway"},
		{"POST /clients", `{"name":"a","token_endpoint_auth_method":"none","client_authentication_methods":{}}`, 400, "mutually exclusive"},
		{"POST /clients", `{"name":"a","token_endpoint_auth_method":"magic"}`, 400, `"magic"`},
		{"POST /clients", `{"name":"a","resource_server_identifier":"urn:unknown"}`, 404, "No resource with identifier urn:unknown"},
		{"POST /clients", `{"name":"a","default_organization":{"organization_id":"org_x","flows":["client_credentials"]}}`, 404, "No organization found"},
		{"POST /clients", `{"name":"a","client_authentication_methods":{"private_key_jwt":{"credentials":[{"id":"cred_x"}]}}}`, 404, "The credential does not exist"},
		{"POST /clients", vault(`[]`, grant, address), 400, "Array is too short (0), minimum 1' on property token_vault_privileged_access.credentials"},
		{"POST /clients", vault(cred, `[]`, address), 400, "token_vault_privileged_access.grants"},
		{"POST /clients", vault(cred, grant, long(`"10.0.0.1/8"`, 1)+``), 200, ""},
		{"POST /clients", vault(cred, grant, `["a"]`), 400, "format ip-or-cidr: a"},
		{"POST /clients", vault(cred, `[{"connection":"c","scopes":[]},{"connection":"c","scopes":[]}]`, address), 400, "Array items are not unique"},
		{"POST /clients", vault(cred, `[{"connection":"c","scopes":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17","18","19","20","21"]}]`, address), 400, "Array is too long (21), maximum 20"},
		{"POST /clients", vault(cred, long(`{"connection":"c","scopes":[]}`, 6), address), 400, "Array is too long (6), maximum 5"},
		{"POST /clients", `{"name":"v","token_vault_privileged_access":{"grants":[],"ip_allowlist":[]}}`, 400, "Missing required property: credentials"},
		{"POST /clients/{client}/credentials", `{"credential_type":"magic"}`, 400, "No enum match for: magic"},
		{"POST /clients/{client}/credentials", `{"credential_type":"public_key","pem":"x"}`, 400, "format pem"},
		{"POST /clients/{client}/credentials", `{"credential_type":"public_key","pem":"-----BEGIN X-----\nAAAA\n-----END X-----\n"}`, 400, "format pem"},
		{"POST /clients/{client}/credentials", `{"credential_type":"cert_subject_dn"}`, 400, "Missing required property: pem"},
		{"GET /clients/{client}/credentials/cred_x", ``, 404, "The credential does not exist"},
		{"PATCH /clients/{client}/credentials/{credential}", `{"expires_at":"tomorrow"}`, 400, "format date-time: tomorrow"},
		{"PATCH /clients/unknown", `{}`, 404, "The client does not exist"},
		{"POST /clients/unknown/rotate-secret", ``, 404, "The client does not exist"},
		{"GET /clients/unknown/connections", ``, 404, "The client does not exist"},
		{"GET /clients?per_page=x", ``, 400, "Query validation error: 'Expected type integer but found type string' on property per_page"},
		{"GET /clients?page=-1", ``, 400, "Value -1 is less than minimum 0"},
		{"GET /clients?take=101", ``, 400, "Value 101 is greater than maximum 100"},
		{"GET /clients?include_totals=1", ``, 400, "Expected type boolean"},
		{"GET /clients?take=1&from=%00", ``, 400, "format checkpoint"},
		{"GET /users?page=1000", ``, 400, "You can only page through the first 1000 records"},
		{"GET /users?q=email:%22a", ``, 400, "Lucene"},
		{"GET /actions/actions?include_totals=true", ``, 400, "Additional properties not allowed: include_totals"},
		{"POST /resource-servers", `{"identifier":""}`, 400, "String is too short"},
		{"POST /resource-servers", `{"identifier":"urn:a"}`, 409, "A resource server with the same identifier already exists"},
		{"POST /resource-servers", `{"identifier":"urn:b","scopes":[{"description":"x"}]}`, 400, "Missing required property: value"},
		{"POST /resource-servers", `{"identifier":"urn:b","scopes":[{"value":"x"},{"value":"x"}]}`, 400, "Duplicate scope: x"},
		{"POST /resource-servers", `{"identifier":"urn:b","scopes":["x"]}`, 400, "Expected type object but found type string"},
		{"POST /resource-servers", `{"identifier":"urn:b","signing_alg":"none"}`, 400, `"none"`},
		{"PATCH /resource-servers/http:%2F%2Flocalhost:8400%2Fapi%2Fv2%2F", `{"name":"x"}`, 403, "The system API can only change"},
		{"DELETE /resource-servers/http:%2F%2Flocalhost:8400%2Fapi%2Fv2%2F", ``, 403, "The system API cannot be deleted"},
		{"POST /client-grants", `{"audience":"urn:a","scope":[]}`, 400, "Missing required property: client_id"},
		{"POST /client-grants", `{"client_id":"x","audience":"urn:a","scope":[]}`, 404, "The client does not exist"},
		{"POST /client-grants", `{"client_id":"{express}","audience":"urn:a","scope":[]}`, 400, "Client of type express_configuration cannot be used"},
		{"POST /client-grants", `{"client_id":"{client}","audience":"urn:a","scope":[],"organization_usage":"perhaps"}`, 400, `"perhaps"`},
		{"POST /roles", `{"name":""}`, 400, "String is too short"},
		{"GET /roles/unknown/users", ``, 404, "The role does not exist."},
		{"POST /roles/unknown/users", `{"users":[]}`, 404, "The role does not exist."},
		{"POST /roles/{role}/users", `{"users":["auth0|x"]}`, 404, "The user does not exist."},
		{"POST /users/{user}/roles", `{"roles":["rol_x"]}`, 404, "The role does not exist."},
		{"DELETE /users/{user}/permissions", `{}`, 400, "Missing required property: permissions"},
		{"POST /users", `{"connection":"unknown","email":"a@example.com","password":"x"}`, 400, "The connection does not exist."},
		{"POST /users", `{"connection":"Username-Password-Authentication","email":"a@example.com"}`, 400, "Missing required property: password"},
		{"POST /users", `{"connection":"sms","email":"a@example.com"}`, 400, "Missing required property: phone_number"},
		{"POST /users", `{"connection":"Username-Password-Authentication","password":"x"}`, 400, "Missing required property: email"},
		{"POST /users", `{"connection":"Username-Password-Authentication","email":"AGENT@example.com","password":"x"}`, 409, "The user already exists."},
		{"POST /users", `{"connection":"Username-Password-Authentication","email":"z@example.com","password":"x","user_id":"{bare}"}`, 409, "The user already exists."},
		{"POST /users/{user}/identities", `{"provider":"auth0","user_id":"{bare}"}`, 400, "Main account and linked account cannot be the same."},
		{"PATCH /users/{user}", `{"connection":"unknown"}`, 400, "The connection does not exist."},
		{"PATCH /users/{user}", `{"password":"x","email":"b@example.com"}`, 400, "simultaneously"},
		{"PATCH /users/{user}", `{"email":"guest@example.com"}`, 409, "The user already exists."},
		{"GET /users-by-email", ``, 400, "Missing required property: email"},
		{"GET /user-blocks", ``, 400, "Missing required property: identifier"},
		{"GET /user-blocks?identifier=unknown", ``, 404, "The user does not exist."},
		{"POST /users/{user}/identities", `{"link_with":"x"}`, 400, "link_with"},
		{"POST /users/{user}/identities", `{"provider":"auth0","user_id":"x"}`, 404, "The user does not exist."},
		{"POST /users/{user}/authentication-methods", `{"type":"magic"}`, 400, "No enum match for: magic"},
		{"PUT /users/{user}/authentication-methods", `{}`, 400, "Expected type array but found type object"},
		{"PUT /users/{user}/authentication-methods", `[1]`, 400, "Expected type object but found type integer"},
		{"GET /users/{user}/authentication-methods/x", ``, 404, "Authentication method does not exist"},
		{"POST /connections", `{"name":"a b","strategy":"auth0"}`, 400, "String does not match pattern"},
		{"POST /connections", `{"name":"a","strategy":"magic"}`, 400, "No enum match for: magic"},
		{"POST /connections", `{"name":"a","strategy":"auth0","options":{"passwordPolicy":"huge"}}`, 400, `"huge"`},
		{"PATCH /connections/{db}", `{"options":{"attributes":{"email":{"unique":false,"identifier":{"active":true}}}}}`, 400, "cannot add non-unique email attribute"},
		{"PATCH /connections/{db}/clients", `[{"client_id":"x","status":true}]`, 404, "The client does not exist"},
		{"PATCH /connections/{db}/clients", `{}`, 400, "Expected type array"},
		{"GET /connections/unknown/clients", ``, 404, "The connection does not exist"},
		{"POST /connections/{db}/scim-configuration/tokens", `{}`, 404, "Not Found"},
		{"POST /connections/{db}/directory-provisioning/synchronizations", ``, 404, "Not Found"},
		{"GET /connections/{db}/directory-provisioning", ``, 404, "Not Found"},
		{"POST /organizations", `{"name":"A"}`, 400, "organization-name"},
		{"POST /organizations", `{"name":"o"}`, 409, "An organization with this name already exists"},
		{"PATCH /organizations/{org}", `{"name":"other"}`, 409, "An organization with this name already exists"},
		{"POST /organizations/{org}/connections", `{"connection_id":"{db}"}`, 409, "already enabled"},
		{"POST /organizations/{org}/connections", `{"connection_id":"x"}`, 404, "The connection does not exist"},
		{"POST /organizations/{org}/members", `{"members":["auth0|x"]}`, 404, "The user does not exist."},
		{"POST /organizations/{org}/members/{user}/roles", `{"roles":["{role}"]}`, 400, "not a member"},
		{"POST /organizations/{org}/client-grants", `{"grant_id":"x"}`, 404, "The grant does not exist."},
		{"POST /organizations/{org}/clients", `{"clients":[{"client_id":"x"}]}`, 404, "The client does not exist"},
		{"POST /organizations/{other}/members/{guest}/roles", `{"roles":["rol_x"]}`, 404, "The role does not exist."},
		{"GET /organizations/name/unknown", ``, 404, "No organization found by that id or name"},
		{"GET /organizations/{org}/clients/x", ``, 404, "No client found by that id"},
		{"POST /organizations/{org}/invitations", `{"client_id":"x","inviter":{"name":"a"},"invitee":{"email":"a@example.com"}}`, 404, "The client does not exist"},
		{"POST /organizations/{org}/invitations", `{"client_id":"{plain}","inviter":{"name":"a"},"invitee":{"email":"a@example.com"}}`, 400, "does not support organizations"},
		{"POST /organizations/{org}/invitations", `{"client_id":"{client}","inviter":{"name":"a"},"invitee":{"email":"a"}}`, 400, "format email: a"},
		{"POST /organizations/{org}/invitations", `{"client_id":"{client}","inviter":{"name":"a"},"invitee":{"email":"a@example.com"},"ttl_sec":9999999}`, 400, "greater than maximum 2592000"},
		{"POST /organizations/{org}/discovery-domains", `{"domain":"a.example"}`, 409, "already exists in the organization"},
		{"POST /actions/actions", `{"name":"x","supported_triggers":[]}`, 400, "Array is too short"},
		{"POST /actions/actions", `{"name":"a","supported_triggers":[{"id":"post-login"}]}`, 409, "An action with the same name already exists"},
		{"PATCH /actions/actions/{action}", `{"name":"b"}`, 409, "An action with the same name already exists"},
		{"DELETE /actions/actions/{second}", ``, 400, "currently bound"},
		{"GET /actions/actions/{action}/versions/x", ``, 404, "That action version does not exist."},
		{"GET /actions/modules/x", ``, 404, "That module does not exist."},
		{"GET /actions/modules/{module}/versions/x", ``, 404, "That module does not exist."},
		{"POST /actions/modules/{module}/rollback", `{"module_version_id":"x"}`, 404, "That module does not exist."},
		{"GET /actions/triggers/magic/bindings", ``, 400, "Path validation error: 'No enum match for: magic' on property triggerId"},
		{"PATCH /actions/triggers/magic/bindings", `{"bindings":[]}`, 400, "Path validation error"},
		{"PATCH /actions/triggers/post-login/bindings", `{"bindings":[{"ref":{"type":"magic","value":"a"}}]}`, 400, "No enum match for: magic"},
		{"PATCH /actions/triggers/post-login/bindings", `{"bindings":[{"ref":{"type":"action_name","value":"x"}}]}`, 404, "That action does not exist."},
		{"PATCH /actions/triggers/post-login/bindings", `{"bindings":[{"ref":{"type":"action_id","value":"{action}"}}]}`, 400, "is not deployed"},
		{"PATCH /actions/triggers/credentials-exchange/bindings", `{"bindings":[{"ref":{"type":"action_id","value":"{second}"}}]}`, 400, "does not support the trigger"},
		{"PATCH /tenants/settings", `{"default_audience":"urn:x"}`, 400, "default_audience urn:x is not an API"},
		{"PATCH /tenants/settings", `{"default_directory":"x"}`, 400, "The connection x does not exist"},
		{"PATCH /tenants/settings", `{"error_page":{"url":"ftp://x"}}`, 400, "ftp://x"},
		{"PATCH /tenants/settings", `{"sandbox_versions_available":[]}`, 400, "Additional properties not allowed: sandbox_versions_available"},
		{"POST /tickets/email-verification", `{"user_id":"x"}`, 404, "The user does not exist."},
		{"POST /tickets/password-change", `{"user_id":"x"}`, 404, "The user does not exist."},
		{"POST /jobs/users-exports", `{"connection_id":"x"}`, 404, "The connection does not exist"},
		{"POST /jobs/users-imports", `{}`, 415, "Unsupported Media Type"},
		{"GET /jobs/x", ``, 404, "The job does not exist."},
		{"GET /jobs/x/errors", ``, 404, "The job does not exist."},
		{"POST /refresh-tokens/revoke", `{}`, 400, "Missing required property: ids"},
		{"DELETE /grants", ``, 400, "Missing required property: user_id"},
		{"GET /logs/x", ``, 404, "The log does not exist."},
		{"PUT /keys/signing/mockauth0-test-key-02/revoke", ``, 400, "current key cannot be revoked"},
		{"PUT /guardian/factors/magic", `{"enabled":true}`, 404, "Not Found"},
		{"GET /rules/x", ``, 404, "The rule does not exist."},
		{"GET /clients/", ``, 404, "Not Found"},
		{"PUT /clients", `{}`, 404, "Not Found"},
		{"GET /clients/%zz", ``, 0, ""},
	} {
		if c.status == 0 || c.status == 200 {
			continue
		}
		t.Run(c.call+" "+c.text, func(t *testing.T) {
			method, path, _ := strings.Cut(fill(c.call), " ")
			got := (&manager{m.seenBy(t), m.token}).call(method, path, fill(c.body))
			if got.status != c.status {
				t.Fatalf("status %d, want %d: %s", got.status, c.status, got.body)
			}
			e := decodeJSON[struct {
				StatusCode     int
				Error, Message string
			}](t, got.body)
			if e.StatusCode != c.status || e.Error == "" || !strings.Contains(e.Message, c.text) {
				t.Errorf("got %s, want %q", got.body, c.text)
			}
		})
	}
}

// A file of users is imported into a connection. What is wrong with the form or the file
// is refused as a whole, and a user who is there already is a failure of the job.
func TestManagement_ImportsUsers(t *testing.T) {
	m, fill := furnished(t)
	send := func(body string) reply {
		r := request("POST", "", strings.ReplaceAll(fill(body), "\n", "\r\n"))
		r.URL, _ = url.Parse(issuer + "api/v2/jobs/users-imports")
		r.Header.Set("Authorization", "Bearer "+m.token)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		return m.do(r)
	}
	part := func(name, value string) string {
		return "--b\nContent-Disposition: form-data; name=\"" + name + "\"\n\n" + value + "\n"
	}
	into := part("connection_id", "{db}")
	for _, c := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"a part without an end", part("connection_id", "{db}"), 400, "Invalid multipart payload format"},
		{"an unknown connection", part("connection_id", "con_x") + part("users", "[]") + "--b--\n", 404, "The connection does not exist"},
		{"a file of one user", into + part("users", `{"email":"new@example.com"}`) + "--b--\n", 400, "Users file is not a JSON array"},
	} {
		if got := send(c.body); got.status != c.status || !strings.Contains(got.body, c.text) {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
	}
	file := part("users", `[{"email":"new@example.com"},{"email":"AGENT@example.com","name":"Other"}]`)
	for _, c := range []struct {
		upsert, name string
		failures     int // status of the job's errors
	}{{"false", "Example Agent", 200}, {"true", "Other", 204}} {
		job := decodeJSON[map[string]any](t, send(into+part("upsert", c.upsert)+file+"--b--\n").body)
		failures := m.call("GET", "/jobs/"+job["id"].(string)+"/errors", "")
		if got := m.must("GET", fill("/users/{user}"), ""); got["name"] != c.name || failures.status != c.failures {
			t.Errorf("upsert %s: %v, %d %s", c.upsert, got["name"], failures.status, failures.body)
		}
		m.userID("new@example.com")
	}
}

func TestManagement_TokenOfMetadataOnlyChangesNothingElse(t *testing.T) {
	m := newManager(t)
	id := m.id("/clients", `{"name":"narrow","app_type":"non_interactive","grant_types":["client_credentials"]}`)
	m.must("POST", "/client-grants", `{"client_id":"`+id+`","audience":"`+issuer+`api/v2/","scope":["update:users_app_metadata"]}`)
	narrow := &manager{m.world, m.managementToken(id, m.must("GET", "/clients/"+id, "")["client_secret"].(string))}
	path := "/users/" + escape(m.userID(agent))
	narrow.must("PATCH", path, `{"app_metadata":{"a":1}}`)
	if got := narrow.call("PATCH", path, `{"blocked":true}`); got.status != 403 {
		t.Errorf("status %d", got.status)
	}
}

// Pages of every form reach every object once.
func TestManagement_PagesReachEveryObject(t *testing.T) {
	m := newManager(t)
	for i := range 7 {
		m.id("/clients", fmt.Sprintf(`{"name":"c%d"}`, i))
	}
	want := len(m.Clients())
	seen := map[string]bool{}
	for page := 0; ; page++ {
		list := decodeJSON[[]map[string]any](t, m.call("GET", fmt.Sprintf("/clients?per_page=3&page=%d", page), "").body)
		for _, c := range list {
			seen[c["client_id"].(string)] = true
		}
		if len(list) < 3 {
			break
		}
	}
	if len(seen) != want {
		t.Errorf("pages reach %d of %d clients", len(seen), want)
	}
	seen, from := map[string]bool{}, ""
	for {
		o := m.must("GET", "/clients?take=3&from="+url.QueryEscape(from), "")
		for _, c := range o["clients"].([]any) {
			seen[c.(map[string]any)["client_id"].(string)] = true
		}
		next, more := o["next"].(string)
		if !more {
			break
		}
		from = next
	}
	if len(seen) != want {
		t.Errorf("checkpoints reach %d of %d clients", len(seen), want)
	}
	for query, length := range map[string]int{"per_page=0": 0, "page=3&per_page=3": want - 9, "per_page=100&page=1": 0} {
		o := m.must("GET", "/clients?include_totals=true&"+query, "")
		if got := len(o["clients"].([]any)); got != length {
			t.Errorf("%s: %d clients, want %d", query, got, length)
		}
	}
}

// Of concurrent updates the last one wins, never half of one.
func TestManagement_ConcurrentUpdatesAreWhole(t *testing.T) {
	m := newManager(t)
	id := m.id("/clients", `{"name":"c"}`)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			m.call("PATCH", "/clients/"+id, fmt.Sprintf(`{"name":"n%d","description":"d%d"}`, i, i))
		})
	}
	all.Wait()
	got := m.must("GET", "/clients/"+id, "")
	if strings.TrimPrefix(got["name"].(string), "n") != strings.TrimPrefix(got["description"].(string), "d") {
		t.Errorf("got %v", got)
	}
}

// FuzzManagement: no path, query or body makes the API answer 5xx or text that is not
// JSON.
func FuzzManagement(f *testing.F) {
	for _, s := range [][3]string{
		{"GET", "/clients?per_page=1&page=9999999999999999999", ""},
		{"POST", "/clients", `{"name":"a","refresh_token":{"leeway":1e99},"callbacks":[null,1]}`},
		{"PATCH", "/clients/demo", `{"jwt_configuration":null,"client_authentication_methods":{"private_key_jwt":{"credentials":[1]}}}`},
		{"GET", "/resource-servers/https:%2F%2Fapi.example.com%2F", ""},
		{"PATCH", "/resource-servers/https:%2F%2Fapi.example.com%2F", `{"subject_type_authorization":{"user":null},"token_lifetime":1e300}`},
		{"POST", "/users", `{"connection":"Username-Password-Authentication","email":"a@b.c","password":"x","user_metadata":{"a":{"b":[]}}}`},
		{"GET", `/users?q=(email:"a*" OR NOT name:b) AND -x.y:z`, ""},
		{"PATCH", "/users/auth0%7Cx", `{"blocked":null}`},
		{"POST", "/connections", `{"name":"x","strategy":"auth0","options":{"authentication_methods":null,"attributes":{"email":[]}}}`},
		{"PATCH", "/connections/con_x/clients", `[{"client_id":1}]`},
		{"POST", "/organizations", `{"name":"o","enabled_connections":[{}]}`},
		{"PATCH", "/tenants/settings", `{"flags":{"x":null},"session_lifetime":-1,"error_page":null}`},
		{"POST", "/actions/actions", `{"name":"a","supported_triggers":[{"id":"post-login"}],"deploy":true,"secrets":[{}]}`},
		{"PATCH", "/actions/triggers/post-login/bindings", `{"bindings":[{"ref":{}}]}`},
		{"PUT", "/users/x/authentication-methods", `[{"type":"phone"}]`},
		{"POST", "/jobs/users-imports", "--b\r\n"},
		{"DELETE", "/organizations/org_x/members", `{"members":"x"}`},
		{"GET", "/logs?take=-1&from=x", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	m := newManager(f)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.Parse(issuer + "api/v2" + target)
		if err != nil || len(body) > 1<<16 || strings.Contains(target, "/keys/signing/rotate") { // slow: it makes an RSA key
			return
		}
		r := request("GET", "", body)
		if r.URL = u; !strings.HasPrefix(u.Path, "/api/v2/") {
			return
		}
		r.Method = method
		r.Header.Set("Authorization", "Bearer "+m.token)
		got := m.seenBy(t).do(r)
		documented(t, got)
		if got.status != 204 && got.body != "" && !strings.HasPrefix(got.body, "{") && !strings.HasPrefix(got.body, "[") && got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if len(m.Clients()) > 200 {
			m.Reset()
		}
	})
}

// BenchmarkManagement1000Clients creates, lists and deletes 1,000 clients.
func BenchmarkManagement1000Clients(b *testing.B) {
	tn, err := mock.New(mock.Config{Issuer: issuer, Tenant: tenant.Default()})
	if err != nil {
		b.Fatal(err)
	}
	m := &manager{&world{TB: b, Tenant: tn, jar: map[string]string{}}, ""}
	m.token = m.managementToken("management", "management-secret")
	requests := 0
	for b.Loop() {
		var ids []string
		for i := range 1000 {
			ids = append(ids, m.id("/clients", fmt.Sprintf(`{"name":"client %d","callbacks":["https://app.example.com/callback"]}`, i)))
		}
		for page := range 10 {
			m.must("GET", fmt.Sprintf("/clients?per_page=100&page=%d&include_totals=true", page), "")
		}
		for _, id := range ids {
			m.must("DELETE", "/clients/"+id, "")
		}
		requests += 2010
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(requests), "µs/request")
}

// BenchmarkManagementMemory reports the memory of a client that the API created.
func BenchmarkManagementMemory(b *testing.B) {
	tn, err := mock.New(mock.Config{Issuer: issuer, Tenant: tenant.Default()})
	if err != nil {
		b.Fatal(err)
	}
	m := &manager{&world{TB: b, Tenant: tn, jar: map[string]string{}}, ""}
	m.token = m.managementToken("management", "management-secret")
	used := func() uint64 {
		runtime.GC()
		m.Journal().Reset()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	for b.Loop() {
		m.Reset()
		m.must("GET", "/clients", "")
		before := used()
		for i := range 1000 {
			m.id("/clients", fmt.Sprintf(`{"name":"client %d","callbacks":["https://app.example.com/callback"]}`, i))
		}
		b.ReportMetric(float64(used()-before)/1000, "B/client")
	}
}
