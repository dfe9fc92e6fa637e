package mock_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// Each field that the mock emulates changes what a client sees: a dialogue with the
// probed tenant reads differently with another value. Each field that is stored only
// changes no dialogue. A new field of the schema needs a row here.
func TestEveryEmulatedFieldChangesAnswers(t *testing.T) {
	rows := map[string]fieldRow{}
	for _, r := range fieldRows {
		path := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(r.path, "")
		if _, twice := rows[path]; twice {
			t.Errorf("%s has two rows", path)
		}
		rows[path] = r
	}
	for _, f := range tenant.Fields() {
		r, probed := rows[f.Path]
		delete(rows, f.Path)
		if f.Support != tenant.Emulated {
			continue
		}
		if !probed {
			t.Errorf("%s has no row in fieldRows", f.Path)
			continue
		}
		t.Run(f.Path, func(t *testing.T) {
			before, after := r.run(t, "", ""), r.run(t, r.path, r.value)
			if before == after {
				t.Errorf("%s = %s changes nothing in the dialogue %q", r.path, r.value, r.dialogue)
			}
			if again := r.run(t, "", ""); again != before {
				t.Errorf("the dialogue %q does not repeat", r.dialogue)
			}
		})
	}
	for path := range rows {
		t.Errorf("%s has a row, but is not emulated", path)
	}
}

func TestStoredFieldsChangeNoAnswer(t *testing.T) {
	schema := map[string]string{}
	for path, value := range map[string]string{
		"tenant.support_email": `"x@example.com"`, "tenant.support_url": `"http://x.example/"`, "organizations[0].display_name": `"x"`,
		"roles[0].description": `"x"`, "databases[0].strategy": `"x"`, "resourceServers[0].id": `"x"`, "clientGrants[0].id": `"x"`,
		"roles[0].id": `"x"`, "databases[0].id": `"x"`, "connections[0].id": `"x"`,
		"clients[1].client_authentication_methods.private_key_jwt.credentials[0].id":   `"x"`,
		"clients[1].client_authentication_methods.private_key_jwt.credentials[0].name": `"x"`,
	} {
		schema[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "")] = path
		t.Run(path, func(t *testing.T) {
			for name := range dialogues {
				r := fieldRow{dialogue: name}
				if before, after := r.run(t, "", ""), r.run(t, path, value); before != after {
					t.Errorf("changes the dialogue %q", name)
				}
			}
		})
	}
	for _, f := range tenant.Fields() {
		if f.Support == tenant.Stored && inSchema(f.Path) && schema[f.Path] == "" {
			t.Errorf("%s is in the schema and stored only: show that it changes nothing", f.Path)
		}
	}
}

func inSchema(path string) bool {
	v := reflect.TypeFor[tenant.File]()
	for name := range strings.SplitSeq(path, ".") {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return false
		}
		found := false
		for f := range v.Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
				v, found = f.Type, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// fieldRow is another value of a field of the probed tenant, and the dialogue that
// reads differently with it. With: other fields that both dialogues need.
type fieldRow struct {
	path, value string // value is JSON
	dialogue    string
	with        map[string]string
	then        map[string]string // what the other value needs
}

// run has the dialogue with the probed tenant, changed by one field.
func (r fieldRow) run(t *testing.T, path, value string) string {
	t.Helper()
	changes := map[string]string{}
	maps.Copy(changes, r.with)
	if path != "" {
		changes[path] = value
		maps.Copy(changes, r.then)
	}
	d := dialogues[r.dialogue]
	file, signer := probedTenant(t)
	login := mock.LoginAuto
	if strings.HasPrefix(r.dialogue, "form") {
		login = mock.LoginForm
	}
	w := newWorld(t, mock.Config{Tenant: changed(t, file, changes), Rand: rand.NewChaCha8([32]byte{}), Login: login})
	return d(&dialogue{world: w, signer: signer})
}

// changed returns the file with other values at some paths, as in "clients[0].name".
func changed(t *testing.T, file *tenant.File, changes map[string]string) *tenant.File {
	t.Helper()
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	root := decodeJSON[map[string]any](t, string(b))
	for _, path := range slices.Sorted(maps.Keys(changes)) { // an object before its members
		setJSON(t, root, strings.Split(strings.NewReplacer("[", ".[", "]", "").Replace(path), "."), decodeJSON[any](t, changes[path]))
	}
	if b, err = json.Marshal(root); err != nil {
		t.Fatal(err)
	}
	out := decodeJSON[tenant.File](t, string(b))
	return &out
}

func setJSON(t *testing.T, at any, path []string, value any) {
	t.Helper()
	last := len(path) == 1
	if i, isIndex := strings.CutPrefix(path[0], "["); isIndex {
		n, err := strconv.Atoi(i)
		list, isList := at.([]any)
		if err != nil || !isList || n >= len(list) {
			t.Fatalf("no element %s", i)
		}
		if last {
			list[n] = value
			return
		}
		setJSON(t, list[n], path[1:], value)
		return
	}
	object, isObject := at.(map[string]any)
	if !isObject {
		t.Fatalf("no object with %s", path[0])
	}
	if last {
		object[path[0]] = value
		return
	}
	if object[path[0]] == nil {
		object[path[0]] = map[string]any{}
	}
	setJSON(t, object[path[0]], path[1:], value)
}

const oneGrant = `[{"client_id":"a","audience":"https://api.example.com/"}]`

// onePermission gives the user a permission that no scope matches.
var onePermission = map[string]string{
	"resourceServers[0].enforce_policies": "true",
	"users[0].permissions":                `[{"permission_name":"x","resource_server_identifier":"https://api.example.com/"}]`,
}

// organizationRequired lets client_credentials use the client's default organization.
var organizationRequired = map[string]string{
	"clientGrants[0].organization_usage": `"require"`, "organizations[0].client_grants": oneGrant,
	"clients[0].default_organization": `{"organization_id":"org_one","flows":["client_credentials"]}`,
}

// secondFactors makes the tenant require a second factor of the user, who has four.
var secondFactors = map[string]string{
	"x-actions[0].mfa":       "true",
	"clients[0].grant_types": `["password","` + mfaOTP + `","` + mfaOOB + `","` + mfaRecovery + `"]`,
	"users[0].authentication_methods": `[{"id":"email|1","type":"email","email":"x@example.com"},{"id":"sms|1","type":"phone","phone_number":"+1"},
		{"id":"totp|1","type":"totp","totp_secret":"` + totpSecret + `"},{"type":"recovery-code","recovery_code":"recover"}]`,
}

// fieldRows are in the order of the schema.
var fieldRows = []fieldRow{
	{"tenant.friendly_name", `"x"`, "form", nil, nil},
	{"tenant.default_audience", `"https://api.example.com/"`, "default", nil, nil},
	{"tenant.default_directory", `"Other"`, "password", nil, nil},
	{"tenant.allowed_logout_urls", `[]`, "logout", nil, nil},
	{"tenant.error_page.url", `"http://error.example/"`, "error", nil, nil},
	{"tenant.session_lifetime", `50`, "session", nil, nil},
	{"tenant.idle_session_lifetime", `90`, "session", nil, nil},
	{"tenant.flags.revoke_refresh_token_grant", `true`, "revoke", nil, nil},
	{"tenant.pushed_authorization_requests_supported", `false`, "pushed", nil, nil},
	{"tenant.flags.enable_public_signup_user_exists_error", `true`, "sign-up", nil, nil},
	{"tenant.flags.enforce_client_authentication_on_passwordless_start", `true`, "passwordless", nil, nil},
	{"tenant.resource_parameter_profile", `"audience"`, "resource", nil, nil},
	{"tenant.authorization_response_iss_parameter_supported", `true`, "login", nil, nil},
	{"tenant.allow_organization_name_in_authentication_api", `true`, "organization", nil, nil},

	{"clients[0].name", `"x"`, "form", nil, nil},
	{"clients[0].client_id", `"b"`, "login", map[string]string{"clientGrants": "[]"}, nil},
	{"clients[0].client_secret", `"x"`, "machine", nil, nil},
	{"clients[0].app_type", `"native"`, "machine", map[string]string{"clients[0].grant_types": "null"}, nil},
	{"clients[0].is_first_party", `false`, "form without consent", nil, nil},
	{"clients[0].token_endpoint_auth_method", `"none"`, "machine", nil, nil},
	{"clients[0].callbacks", `[]`, "login", nil, nil},
	{"clients[0].allowed_origins", `[]`, "cors", nil, nil},
	{"clients[0].web_origins", `[]`, "cors", nil, nil},
	{"clients[0].allowed_logout_urls", `[]`, "logout", nil, nil},
	{"clients[0].grant_types", `["authorization_code"]`, "machine", nil, nil},
	{"clients[0].refresh_token.rotation_type", `"non-rotating"`, "refresh", nil, nil},
	{"clients[0].refresh_token.expiration_type", `"non-expiring"`, "old refresh token", nil, nil},
	{"clients[0].refresh_token.leeway", `0`, "refresh", nil, nil},
	{"clients[0].refresh_token.token_lifetime", `2000`, "old refresh token", nil, nil},
	{"clients[0].refresh_token.infinite_token_lifetime", `true`, "old refresh token", nil, nil},
	{"clients[0].refresh_token.idle_token_lifetime", `700`, "old refresh token", nil, nil},
	{"clients[0].refresh_token.infinite_idle_token_lifetime", `true`, "old refresh token", nil, nil},
	{"clients[0].refresh_token.policies[0].audience", `"https://x.example/"`, "refresh", nil, nil},
	{"clients[0].refresh_token.policies[0].scope", `[]`, "refresh", nil, nil},
	{"clients[0].jwt_configuration.lifetime_in_seconds", `50`, "login", nil, nil},
	{"clients[0].jwt_configuration.alg", `"HS256"`, "login", nil, nil},
	{"clients[0].organization_usage", `"require"`, "organization", nil, nil},
	{"clients[0].require_pushed_authorization_requests", `true`, "pushed", nil, nil},
	{"clients[0].redirection_policy", `"allow_always"`, "form declined", map[string]string{"clients[0].is_first_party": "false"}, nil},
	{"clients[1].client_authentication_methods.private_key_jwt.credentials[0].pem", `"x"`, "assertion", nil, nil},
	{"clients[1].client_authentication_methods.private_key_jwt.credentials[0].alg", `"PS256"`, "assertion", nil, nil},
	{"clients[1].client_authentication_methods.private_key_jwt.credentials[0].kid", `"x"`, "assertion", nil, nil},
	{"clients[0].token_exchange.allow_any_profile_of_type", `["on_behalf_of_token_exchange"]`, "exchange", nil, nil},
	{"clients[0].organization_require_behavior", `"post_login_prompt"`, "form", nil, nil},
	{"clients[0].default_organization.organization_id", `"org_two"`, "machine", organizationRequired, nil},
	{"clients[0].default_organization.flows", `[]`, "machine", organizationRequired, nil},
	{"clients[0].initiate_login_uri", `"https://a.example.com/start"`, "invitation", nil, nil},
	{"clients[0].require_proof_of_possession", `true`, "proof", nil, nil},
	{"clients[0].x-login", `"form"`, "login", nil, nil},
	{"clients[0].oidc_logout.backchannel_logout_urls", `["http://localhost:3000/logout"]`, "back-channel logout", nil, nil},

	{"resourceServers[0].name", `"x"`, "form", nil, nil},
	{"resourceServers[0].identifier", `"https://x.example/"`, "login", nil, nil},
	{"resourceServers[0].scopes[0].value", `"x"`, "login", nil, nil},
	{"resourceServers[0].scopes[0].description", `"x"`, "form", nil, nil},
	{"resourceServers[0].signing_alg", `"HS256"`, "login", nil, nil},
	{"resourceServers[0].signing_secret", `"x"`, "login", map[string]string{"resourceServers[0].signing_alg": `"HS256"`}, nil},
	{"resourceServers[0].allow_offline_access", `false`, "login", nil, nil},
	{"resourceServers[0].token_lifetime", `60`, "login", nil, nil},
	{"resourceServers[0].token_lifetime_for_web", `60`, "implicit", nil, nil},
	{"resourceServers[0].enforce_policies", `true`, "login", nil, nil},
	{"resourceServers[0].token_dialect", `"rfc9068_profile"`, "login", nil, nil},
	{"resourceServers[1].skip_consent_for_verifiable_first_party_clients", `false`, "form without consent", nil, nil},
	{"resourceServers[0].subject_type_authorization.user.policy", `"deny_all"`, "login", nil, nil},
	{"resourceServers[0].subject_type_authorization.client.policy", `"deny_all"`, "machine", nil, nil},
	{"resourceServers[0].proof_of_possession.mechanism", `"dpop"`, "proof", nil, nil},
	{"resourceServers[0].proof_of_possession.required", `true`, "proof", map[string]string{"resourceServers[0].proof_of_possession": `{"mechanism":"dpop"}`}, nil},
	{"resourceServers[0].proof_of_possession.required_for", `"public_clients"`, "proof", map[string]string{"resourceServers[0].proof_of_possession": `{"mechanism":"dpop","required":true}`}, nil},

	{"clientGrants[0].client_id", `"keyed"`, "machine", nil, map[string]string{"clientGrants[1].client_id": `"a"`}},
	{"clientGrants[0].audience", `"https://second.example/"`, "machine", nil, nil},
	{"clientGrants[0].scope", `[]`, "machine", nil, nil},
	{"clientGrants[0].subject_type", `"user"`, "machine", nil, nil},
	{"clientGrants[0].organization_usage", `"allow"`, "machine", map[string]string{"organizations[0].client_grants": oneGrant}, nil},
	{"clientGrants[0].allow_any_organization", `true`, "machine", map[string]string{"clientGrants[0].organization_usage": `"allow"`}, nil},

	{"clientGrants[0].allow_all_scopes", `true`, "machine", nil, nil},
	{"roles[0].name", `"reader"`, "login", nil, map[string]string{"users[0].roles": `["reader"]`}},
	{"roles[0].permissions[0].permission_name", `"write:calls"`, "login", map[string]string{"resourceServers[0].enforce_policies": "true"}, nil},
	{"roles[0].permissions[0].resource_server_identifier", `"https://x.example/"`, "login", map[string]string{"resourceServers[0].enforce_policies": "true"}, nil},

	{"organizations[0].id", `"org_other"`, "organization", nil, nil},
	{"organizations[0].name", `"other"`, "organization", map[string]string{"tenant.allow_organization_name_in_authentication_api": "true"}, nil},
	{"organizations[0].members", `[]`, "organization", nil, nil},
	{"organizations[0].member_roles", `{"auth0|1":["agent"]}`, "organization", map[string]string{
		"resourceServers[0].enforce_policies": "true", "users[0].roles": "[]", "users[0].user_id": `"auth0|1"`, "organizations[0].members": `["auth0|1"]`,
	}, nil},
	{"organizations[0].client_grants[0].client_id", `"keyed"`, "machine", organizationRequired, nil},
	{"organizations[0].client_grants[0].audience", `"https://second.example/"`, "machine", organizationRequired, nil},
	{"organizations[0].connections[0].name", `"Other"`, "organization", map[string]string{"organizations[0].connections": `[{"name":"DB"}]`}, nil},
	{"organizations[0].connections[0].assign_membership_on_login", `true`, "organization", map[string]string{"organizations[0].connections": `[{"name":"DB"}]`, "organizations[0].members": "[]"}, nil},

	{"databases[0].name", `"x"`, "form signup", map[string]string{"databases[0].disable_signup": "true"}, nil},
	{"databases[0].disable_signup", `true`, "form signup", nil, nil},
	{"databases[0].enabled_clients", `[]`, "login", nil, nil},
	{"databases[0].options.disable_signup", `true`, "sign-up", nil, nil},
	{"databases[0].options.requires_username", `true`, "sign-up", nil, nil},
	{"databases[0].options.passwordPolicy", `"excellent"`, "sign-up", nil, nil},
	{"databases[0].options.password_complexity_options.min_length", `20`, "sign-up", nil, nil},

	{"connections[0].name", `"x"`, "passwordless", nil, nil},
	{"connections[0].strategy", `"sms"`, "passwordless", nil, nil},
	{"connections[0].enabled_clients", `["keyed"]`, "passwordless", nil, nil},

	{"users[0].user_id", `"auth0|2"`, "login", nil, nil},
	{"users[0].email", `"x@example.com"`, "login", map[string]string{"organizations": "[]"}, nil},
	{"users[0].email_verified", `true`, "login", nil, nil},
	{"users[0].username", `"x"`, "password", nil, nil},
	{"users[0].name", `"x"`, "login", nil, nil},
	{"users[0].nickname", `"x"`, "login", nil, nil},
	{"users[0].given_name", `"x"`, "login", nil, nil},
	{"users[0].family_name", `"x"`, "login", nil, nil},
	{"users[0].picture", `"http://x.example/"`, "login", nil, nil},
	{"users[0].phone_number", `"+1"`, "login", nil, nil},
	{"users[0].phone_verified", `true`, "login", nil, nil},
	{"users[0].blocked", `true`, "login", nil, nil},
	{"users[0].created_at", `"2020-01-01T00:00:00Z"`, "login", nil, nil},
	{"users[0].updated_at", `"2020-01-01T00:00:00Z"`, "login", nil, nil},
	{"users[0].app_metadata", `{"team":"blue"}`, "login", nil, nil},
	{"users[0].user_metadata", `{"lang":"fr"}`, "login", nil, nil},
	{"users[0].connection", `"Other"`, "password", nil, nil},
	{"users[0].password", `"x"`, "password", nil, nil},
	{"users[0].roles", `[]`, "login", nil, nil},
	{"users[0].permissions[0].permission_name", `"write:calls"`, "login", onePermission, nil},
	{"users[0].permissions[0].resource_server_identifier", `"https://api.example.com/"`, "login", map[string]string{
		"resourceServers[0].enforce_policies": "true", "users[0].permissions": `[{"permission_name":"write:calls","resource_server_identifier":"https://x.example/"}]`,
	}, nil},
	{"users[0].authentication_methods[0].id", `"email|2"`, "second factor", secondFactors, nil},
	{"users[0].authentication_methods[0].type", `"phone"`, "second factor", secondFactors, nil},
	{"users[0].authentication_methods[0].email", `"y@example.com"`, "second factor", secondFactors, nil},
	{"users[0].authentication_methods[1].phone_number", `"+2"`, "second factor", secondFactors, nil},
	{"users[0].authentication_methods[2].totp_secret", `"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJA"`, "second factor", secondFactors, nil},
	{"users[0].authentication_methods[3].recovery_code", `"other"`, "second factor", secondFactors, nil},

	{"x-actions[0].trigger", `"credentials-exchange"`, "login", nil, map[string]string{"x-actions[0].set_id_token": `null`}},
	{"x-actions[0].client_id", `"keyed"`, "login", nil, nil},
	{"x-actions[0].deny", `"no"`, "login", nil, nil},
	{"x-actions[0].error", `"x"`, "login", map[string]string{"x-actions[0].deny": `"no"`}, nil},
	{"x-actions[0].interaction", `true`, "silent", nil, nil},
	{"x-actions[0].mfa", `true`, "silent", nil, nil},
	{"x-actions[0].set_access_token", `{}`, "login", nil, nil},
	{"x-actions[0].set_id_token", `{}`, "login", nil, nil},
}
