package tenantfile

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// An object that the mock could not use, because another one has its name, is an error
// at its line.
func TestRepeatedObjectsAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"databases":              {"databases:\n  - name: d\n  - name: d\n", `f.yaml:4: databases[1]: name: "d" is used twice`},
		"connections":            {"connections:\n  - {name: e, strategy: email}\n  - {name: e, strategy: sms}\n", `f.yaml:4: connections[1]: name: "e" is used twice`},
		"database, connection":   {"databases: [{name: e}]\nconnections:\n  - {name: e, strategy: email}\n", `f.yaml:4: connections[0]: name: "e" is used twice`},
		"organization ids":       {"organizations:\n  - {name: o, id: org_1}\n  - {name: p, id: org_1}\n", `f.yaml:4: organizations[1]: id: "org_1" is used twice`},
		"client grants":          {"clientGrants:\n  - {client_id: A, audience: x, scope: []}\n  - {client_id: a, audience: x, scope: [y]}\n", `f.yaml:4: clientGrants[1]: audience: client "a" has two client grants for "x"`},
		"ids of APIs":            {"resourceServers:\n  - {identifier: x, id: i}\n  - {identifier: y, id: i}\n", `f.yaml:4: resourceServers[1]: id: "i" is used twice`},
		"ids of client grants":   {"clientGrants:\n  - {client_id: a, audience: x, scope: [], id: i}\n  - {client_id: a, audience: y, scope: [], id: i}\n", `f.yaml:4: clientGrants[1]: id: "i" is used twice`},
		"ids of roles":           {"roles:\n  - {name: r, id: i}\n  - {name: s, id: i}\n", `f.yaml:4: roles[1]: id: "i" is used twice`},
		"ids of databases":       {"databases:\n  - {name: d, id: i}\n  - {name: e, id: i}\n", `f.yaml:4: databases[1]: id: "i" is used twice`},
		"ids of connections":     {"databases: [{name: d, id: i}]\nconnections:\n  - {name: e, strategy: email, id: i}\n", `f.yaml:4: connections[0]: id: "i" is used twice`},
		"e-mail addresses":       {"users:\n  - email: a@b.c\n  - email: A@b.c\n", `f.yaml:4: users[1]: email: "a@b.c" is used by two users of the connection "Username-Password-Authentication"`},
		"usernames":              {"users:\n  - {username: joe, user_id: x}\n  - {username: Joe, user_id: y}\n", `f.yaml:4: users[1]: username: "joe" is used by two users of the connection "Username-Password-Authentication"`},
		"authentication methods": {"users:\n  - email: a@b.c\n    authentication_methods: [{type: push, id: x}, {type: email, id: x}]\n", `f.yaml:4: users[0]: authentication_methods: the id "x" of user "auth0|d648b243a3e817eaa3309e00" is used twice`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadText(t, "clients: [{name: A, client_id: a}]\n"+c.in); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	for name, in := range map[string]string{
		"an address in two connections": "users:\n  - {email: a@b.c, user_id: x}\n  - {email: a@b.c, user_id: y, connection: other}\n",
		"grants of two subjects":        "clientGrants:\n  - {client_id: a, audience: x, scope: []}\n  - {client_id: a, audience: x, scope: [], subject_type: user}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadText(t, "clients: [{name: A, client_id: a}]\n"+in); err != nil {
				t.Error(err)
			}
		})
	}
}

// A setting that can have no effect is an error, or reported at start.
func TestSettingsWithoutEffect(t *testing.T) {
	const user = "users:\n  - username: joe\n    authentication_methods: "
	for in, want := range map[string]string{
		"x-actions: [{trigger: credentials-exchange, mfa: true}]\n":                   "f.yaml:2: x-actions[0]: mfa: has no effect with trigger credentials-exchange",
		"x-actions: [{trigger: credentials-exchange, interaction: true}]\n":           "f.yaml:2: x-actions[0]: interaction: has no effect with trigger credentials-exchange",
		"x-actions: [{trigger: credentials-exchange, set_id_token: {a: b}}]\n":        "f.yaml:2: x-actions[0]: set_id_token: has no effect with trigger credentials-exchange",
		"x-actions: [{trigger: post-login, error: x}]\n":                              `f.yaml:2: x-actions[0]: error: "x" has no effect without deny`,
		"resourceServers: [{identifier: x, proof_of_possession: {required: true}}]\n": `f.yaml:2: resourceServers[0]: proof_of_possession.mechanism: API "x" has none; it is one of none, mtls, dpop`,
		user + "[{type: phone}]\n":                                                    `f.yaml:4: users[0]: authentication_methods: a phone of user "auth0|78675cc176081372c43abab3" has no phone_number`,
		user + "[{type: email}]\n":                                                    `f.yaml:4: users[0]: authentication_methods: an email of user "auth0|78675cc176081372c43abab3" has no email`,
	} {
		if _, err := loadText(t, "clients: [{client_id: a}]\n"+in); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", in, err, want)
		}
	}
	r, err := loadText(t, `clients: [{client_id: a}]
resourceServers:
  - {identifier: x, proof_of_possession: {mechanism: none, required: true}}
x-actions:
  - {trigger: post-login, client_id: b, deny: no}
  - {trigger: post-login, client_id: a, deny: no}
roles:
  - name: r
    permissions:
      - {permission_name: p, resource_server_identifier: y}
      - {permission_name: q, resource_server_identifier: y}
      - {permission_name: p, resource_server_identifier: x}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`API "x": proof_of_possession.required has no effect with the mechanism none`,
		`x-actions[0]: no client has the client_id "b"`,
		`the permissions of role "r" for y have no effect: no API in resourceServers has this identifier`,
		`the permissions of role "r" for x have no effect: the API has no scope p`,
	}
	if got := slices.Concat(r.Ignored, r.Tenant.Notes()); !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
}

// A setting that refers to nothing, or that can match nothing, is reported.
func TestReferencesToNothing(t *testing.T) {
	const (
		tail = "users: [{email: a@b.c}]\nresourceServers: [{identifier: x, scopes: [{value: p}]}]\n"
		head = "clients:\n  - {name: A, client_id: a}\n"
	)
	for in, want := range map[string]string{
		head + "tenant: {default_audience: y}\n":                                                                                         `tenant: default_audience: no API in resourceServers has the identifier y`,
		head + "tenant: {default_directory: e}\ndatabases: [{name: d}]\n":                                                                `tenant: default_directory: no database has the name "e"`,
		head + "clientGrants: [{client_id: a, audience: x, scope: [p, q, q, r]}]\n":                                                      `the client grant of "a" for x has scopes that the API does not have: q, r`,
		head + "roles: [{name: r, permissions: [{permission_name: q, resource_server_identifier: x}]}]\n":                                `the permissions of role "r" for x have no effect: the API has no scope q`,
		head + "databases: [{name: d, enabled_clients: [a, A, b]}]\n":                                                                    `database "d": enabled_clients: the tenant has no client b`,
		head + "connections: [{name: c, strategy: sms, enabled_clients: [b]}]\n":                                                         `connection "c": enabled_clients: the tenant has no client b`,
		head + "organizations: [{name: o, connections: [{name: c}]}]\n":                                                                  `organization "o": the tenant has no connection "c"`,
		head + "organizations: [{name: o, connections: [{assign_membership_on_login: true}]}]\n":                                         `organization "o": a connection has no name; connection_id has no effect`,
		head + "organizations: [{name: o, client_grants: [{client_id: a, audience: y}]}]\n":                                              `organization "o": client_grants: no API in resourceServers has the identifier y`,
		head + "organizations: [{name: o, member_roles: {'auth0|1': [r]}}]\n":                                                            `organization "o": member_roles of auth0|1: the tenant has no role r`,
		"clients:\n  - {client_id: a, callbacks: ['http://localhost:1/#a']}\n":                                                           `client "a": callbacks: "http://localhost:1/#a" never matches: a redirect_uri has a scheme and no fragment or space`,
		"clients:\n  - {client_id: a, callbacks: [' http://localhost:1/']}\n":                                                            `client "a": callbacks: " http://localhost:1/" never matches: a redirect_uri has a scheme and no fragment or space`,
		"clients:\n  - {client_id: a, web_origins: ['localhost:3000']}\n":                                                                `client "a": web_origins: "localhost:3000" never matches: a browser's origin is like http://localhost:3000, in lower case and without the port of its scheme`,
		"clients:\n  - {client_id: a, allowed_origins: ['http://Localhost']}\n":                                                          `client "a": allowed_origins: "http://Localhost" never matches: a browser's origin is like http://localhost:3000, in lower case and without the port of its scheme`,
		"clients:\n  - {client_id: a, web_origins: ['https://x.example:443']}\n":                                                         `client "a": web_origins: "https://x.example:443" never matches: a browser's origin is like http://localhost:3000, in lower case and without the port of its scheme`,
		"clients:\n  - {client_id: a, refresh_token: {leeway: 30}}\n":                                                                    `client "a": refresh_token has no rotation_type, so refresh tokens do not rotate`,
		"clients:\n  - {client_id: a, refresh_token: {rotation_type: non-rotating, expiration_type: expiring, leeway: 30}}\n":            `client "a": refresh_token.leeway has no effect with rotation_type non-rotating`,
		"clients:\n  - {client_id: a, refresh_token: {rotation_type: rotating, expiration_type: expiring, policies: [{audience: y}]}}\n": `client "a": refresh_token.policies: no API in resourceServers has the identifier y`,
	} {
		r, err := loadText(t, in+tail)
		if err != nil {
			t.Errorf("%s\n%v", in, err)
			continue
		}
		if got := strings.Join(r.Tenant.Notes(), "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	// An export has lifetimes of refresh tokens that do not expire.
	r, err := loadText(t, "clients:\n  - {client_id: a, refresh_token: {rotation_type: rotating, expiration_type: non-expiring, token_lifetime: 30}}\n")
	if err != nil || len(r.Tenant.Notes()) > 0 {
		t.Errorf("%v, %q", err, r.Tenant.Notes())
	}
	r, err = loadText(t, head+"tenant: {default_audience: x, default_directory: d}\ndatabases: [{name: d, enabled_clients: [a]}]\n"+
		"clientGrants: [{client_id: A, audience: 'https://t.example/api/v2/', scope: ['read:users']}]\n"+
		"roles: [{name: r, permissions: [{permission_name: 'read:users', resource_server_identifier: 'https://t.example/api/v2/'}]}]\n"+
		"organizations: [{name: o, connections: [{name: d}], member_roles: {'auth0|1': [r]}}]\n"+tail)
	if err != nil || len(r.Tenant.Notes()) > 0 {
		t.Errorf("%v, %q", err, r.Tenant.Notes())
	}
	r, err = loadText(t, "clients: [{client_id: a}]\norganizations: [{name: Acme}]\n")
	if want := `organization "Acme": logins cannot name it: a name has lower-case letters, digits, - and _ only`; err != nil || strings.Join(r.Tenant.Notes(), "\n") != want {
		t.Errorf("%v, %q", err, r.Tenant.Notes())
	}
	r, err = loadText(t, "clients: [{client_id: a}]\nresourceServers:\n  - {identifier: x, scopes: [{value: 'a b'}]}\n")
	if want := `API "x": a scope that is empty or has a space cannot be requested`; err != nil || strings.Join(r.Tenant.Notes(), "\n") != want {
		t.Errorf("%v, %q", err, r.Tenant.Notes())
	}
}

// Each grant of package tenant is served, and none of them is reported as unsupported.
func TestServedGrants(t *testing.T) {
	source, err := os.ReadFile("../../pkg/mock/tenant/values.go")
	if err != nil {
		t.Fatal(err)
	}
	grants := []string{"urn:openid:params:grant-type:ciba"} // the mock does not have it
	for _, m := range regexp.MustCompile(`(?m)^\tGrant\w+ += "(.*?)"`).FindAllStringSubmatch(string(source), -1) {
		grants = append(grants, m[1])
	}
	m, err := mock.New(mock.Config{Issuer: "http://localhost:8400/", Tenant: &tenant.File{Clients: []tenant.Client{{ClientID: "a", ClientSecret: "s", GrantTypes: grants}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range grants {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8400/oauth/token", strings.NewReader(url.Values{"grant_type": {g}, "client_id": {"a"}, "client_secret": {"s"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		served := !strings.Contains(w.Body.String(), "not allowed for the client") && w.Code != http.StatusNotImplemented
		if g == tenant.GrantImplicit {
			served = true // at /authorize
		}
		notes := (&tenant.File{Clients: []tenant.Client{{ClientID: "a", GrantTypes: []string{g}}}}).Notes()
		if reported := len(notes) > 0; served == reported {
			t.Errorf("%s: %d %s, reported %q", g, w.Code, w.Body, notes)
		}
	}
}

// What an editor or another YAML library writes is read, or is an error that says so.
func TestStrangeText(t *testing.T) {
	if r, err := loadText(t, "\ufeffclients: [{client_id: a}]\n"); err != nil || len(r.Ignored) > 0 {
		t.Errorf("a byte order mark: %v", err)
	}
	const anchors = "anchors and aliases of YAML are not supported; repeat the value, or quote text that begins with & or *"
	for in, want := range map[string]string{
		"clients:\n  - &a {client_id: a}\n  - {<<: *a, client_id: b}\n":                 "f.yaml:2: " + anchors,
		"clients:\n  - client_id: a\n    callbacks: [*x]\n":                             "f.yaml:3: " + anchors,
		"clients:\n  - {client_id: a, jwt_configuration: {lifetime_in_seconds: 1.5}}\n": "f.yaml:2: clients: jwt_configuration.lifetime_in_seconds must be a whole number, not 1.5",
		"clients:\n  - {client_id: a, callbacks: [http://localhost:1/a]}\n":             "f.yaml:2: clients: callbacks must be a string, not a mapping; quote text with a colon",
		"clients:\n  - {client_id: a, jwt_configuration: []}\n":                         "f.yaml:2: clients: jwt_configuration must be a mapping, not a list",
		"clients:\n  - {client_id: a, is_first_party: {}}\n":                            "f.yaml:2: clients: is_first_party must be a boolean, not a mapping",
		"clients: [{client_id: true}]\n":                                                "f.yaml:1: clients: client_id must be a string, not a boolean",
	} {
		if _, err := loadText(t, in); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", in, err, want)
		}
	}
	if _, err := loadText(t, "clients:\n  - client_id: a\n    callbacks: ['https://*.example.com/?a&b', http://localhost:1/a]\n"); err != nil {
		t.Error(err)
	}
}
