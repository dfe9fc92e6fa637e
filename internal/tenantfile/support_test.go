package tenantfile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock/tenant"
)

// Every field with which a real tenant answers otherwise than the mock is reported with
// file and line, or refused if a real tenant refuses more. Of the fields that the mock
// emulates none is reported.
func TestNoFieldIsSilent(t *testing.T) {
	for _, f := range tenant.Fields() {
		t.Run(f.Path, func(t *testing.T) {
			if f.Support == tenant.Emulated {
				return
			}
			text, r, err := loadField(t, f, Options{})
			if f.Support == tenant.Refused {
				want := "f.yaml:2: " + f.Path + ": a real tenant " + f.Effect + ", and the mock does not; --lax accepts this without effect"
				if err == nil || err.Error() != want {
					t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
				}
				if _, r, err = loadField(t, f, Options{Lax: true}); err != nil {
					t.Fatalf("lax: %v", err)
				}
			}
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			want := f.Path + " (f.yaml:2): no effect in the mock; a real tenant " + f.Effect
			if f.Support == tenant.Stored {
				section, name, _ := strings.Cut(f.Path, ".")
				want = section + ": " + name + ": no effect; a real tenant with these values gives clients the same answers"
			}
			if got := strings.Join(r.Ignored, "\n"); got != want {
				t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
			}
		})
	}
}

// loadField loads a tenant in which the field has a value that is not its default.
func loadField(t *testing.T, f tenant.Field, o Options) (text string, r *Result, err error) {
	t.Helper()
	section, name, _ := strings.Cut(f.Path, ".")
	for _, value := range []any{true, false, "allow", []any{"x"}, []any{map[string]any{}}, map[string]any{}, map[string]any{"x": "y"}, 7} {
		text = fieldText(t, section, strings.Split(name, "."), value)
		r, err = loadOptions(t, text, o)
		if err != nil && (strings.Contains(err.Error(), " must be a ") || strings.Contains(err.Error(), " is not one of ")) {
			continue
		}
		if err != nil || f.Support == tenant.Stored || strings.Contains(strings.Join(r.Ignored, ""), f.Effect) {
			return text, r, err
		}
	}
	return text, r, err
}

// fieldText returns a tenant file whose second line has the field.
func fieldText(t *testing.T, section string, names []string, value any) string {
	t.Helper()
	for i := len(names) - 1; i >= 0; i-- {
		value = map[string]any{names[i]: value}
		if i > 0 && schemaKind(section+"."+strings.Join(names[:i], ".")) == reflect.Slice {
			value = []any{value}
		}
	}
	object, isObject := value.(map[string]any)
	if !isObject {
		t.Fatalf("no object for %v", names)
	}
	required := map[string]string{"clients": "name", "resourceServers": "identifier", "roles": "name", "organizations": "name", "databases": "name", "connections": "name", "users": "email"}
	if name := required[section]; name != "" {
		object[name] = "a"
	}
	if list, isList := object["client_grants"].([]any); isList {
		list[0].(map[string]any)["client_id"] = "a"
	}
	if list, isList := object["authentication_methods"].([]any); isList && names[1] != "type" {
		list[0].(map[string]any)["type"] = "push"
	}
	if pop, isObject := object["proof_of_possession"].(map[string]any); isObject && pop["mechanism"] == nil {
		pop["mechanism"] = "dpop"
	}
	if section == "connections" {
		object["strategy"] = "email"
	}
	if section == "clientGrants" {
		object["client_id"], object["audience"], object["scope"] = "a", "a", []string{}
	}
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s:\n  - %s\n", section, b)
	if section == "tenant" {
		text = fmt.Sprintf("tenant:\n  %s\n", b)
	}
	if section != "clients" {
		text += "clients: [{name: a}]\n"
	}
	if section == "clientGrants" {
		text += "resourceServers: [{identifier: a}]\n"
	}
	return text
}

// A value that is none of those that a field can have is an error, not the default.
func TestUnknownValuesAreErrors(t *testing.T) {
	for _, path := range []string{
		"tenant.resource_parameter_profile", "clients.token_endpoint_auth_method", "clients.grant_types", "clients.jwt_configuration.alg",
		"clients.refresh_token.rotation_type", "clients.refresh_token.expiration_type", "clients.organization_usage",
		"clients.organization_require_behavior", "databases.options.passwordPolicy", "clients.redirection_policy", "clients.default_organization.flows",
		"clients.token_exchange.allow_any_profile_of_type", "clients.client_authentication_methods.private_key_jwt.credentials.alg",
		"resourceServers.signing_alg", "resourceServers.token_dialect", "resourceServers.proof_of_possession.mechanism",
		"resourceServers.proof_of_possession.required_for", "resourceServers.subject_type_authorization.user.policy",
		"resourceServers.subject_type_authorization.client.policy", "clientGrants.organization_usage", "clientGrants.subject_type",
		"users.authentication_methods.type",
	} {
		t.Run(path, func(t *testing.T) {
			var value any = "bogus"
			if schemaKind(path) == reflect.Slice {
				value = []any{"bogus"}
			}
			section, name, _ := strings.Cut(path, ".")
			text := fieldText(t, section, strings.Split(name, "."), value)
			_, err := loadText(t, text)
			if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:2: ") || !strings.Contains(err.Error(), `"bogus" of `) {
				t.Errorf("%s\n%v", text, err)
			}
		})
	}
}
