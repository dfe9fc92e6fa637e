package tenant

import (
	"reflect"
	"strings"
	"testing"
)

// Every member of the schema is declared, and every member that the mock emulates is in
// the schema.
func TestEveryFieldIsDeclared(t *testing.T) {
	declared := map[string]Support{}
	for _, f := range Fields() {
		if declared[f.Path] != "" {
			t.Errorf("%s is declared twice", f.Path)
		}
		declared[f.Path] = f.Support
	}
	schema := map[string]bool{}
	for _, leaf := range leaves(reflect.TypeFor[File]()) {
		schema[leaf] = true
		if declared[leaf] == "" {
			t.Errorf("%s is not declared in support_table.go", leaf)
		}
		if declared[leaf] == Refused {
			t.Errorf("%s is in the schema, but refused", leaf)
		}
	}
	for path, support := range declared {
		if support == Emulated && !schema[path] {
			t.Errorf("%s is declared as emulated, but is not in the schema", path)
		}
		for i := range path {
			if path[i] == '.' && declared[path[:i]] != "" {
				t.Errorf("%s is inside of %s, which is declared as well", path, path[:i])
			}
		}
	}
}

// leaves returns the paths of the members of a type, as in "clients.jwt_configuration.alg".
// A map of any names and a list of values are leaves.
func leaves(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{""}
	}
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" { // not of a tenant file
			continue
		}
		for _, leaf := range leaves(f.Type) {
			out = append(out, strings.TrimSuffix(name+"."+leaf, "."))
		}
	}
	return out
}

func TestInspectFindsWhatIsNotUsed(t *testing.T) {
	got := NewInspector().Inspect("clients", map[string]any{
		"name": "A", "calbacks": []any{}, "refresh_token": map[string]any{"leway": 1.0}, "signed_request_object": true,
		"compliance_level": "fapi2_sp_pkj_mtls", "sso_disabled": false, "Client_ID": "x", "logo_uri": "", "zzz": nil,
	})
	want := map[string]string{
		"clients.calbacks":              "clients.calbacks: did you mean callbacks?",
		"clients.refresh_token.leway":   "clients.refresh_token.leway: did you mean leeway?",
		"clients.signed_request_object": "clients.signed_request_object: no effect; the mock does not know this field",
		"clients.compliance_level":      "clients.compliance_level: no effect in the mock; a real tenant refuses requests that do not follow the FAPI profile",
		"clients.sso_disabled":          "clients.sso_disabled: no effect; a real tenant with these values gives clients the same answers",
		"clients.Client_ID":             "clients.Client_ID: did you mean client_id?",
		"clients.logo_uri":              "clients.logo_uri: no effect; a real tenant with these values gives clients the same answers",
		"clients.zzz":                   "clients.zzz: no effect; the mock does not know this field",
	}
	for _, f := range got {
		if f.String() != want[f.Field.Path] {
			t.Errorf("%s: got %q, want %q", f.Field.Path, f, want[f.Field.Path])
		}
		delete(want, f.Field.Path)
	}
	for path := range want {
		t.Errorf("%s is not found", path)
	}
}

// What is in a list and has no effect is found, too: no value of a tenant file is silent.
func TestInspectFindsElementsOfLists(t *testing.T) {
	const without = ": an element of the list has no effect: it is null, or not an object"
	for _, tt := range []struct {
		section string
		object  map[string]any
		want    string
	}{
		{"clients", map[string]any{"grant_types": []any{"refresh_token", nil}}, "clients.grant_types" + without},
		{"tenant", map[string]any{"sessions": []any{1.0}}, "tenant.sessions" + without},
		{"tenant", map[string]any{"sessions": []any{nil}}, "tenant.sessions" + without},
		{"users", map[string]any{"permissions": []any{nil}}, "users.permissions" + without},
		{"users", map[string]any{"permissions": []any{map[string]any{"permission_name": "read"}}, "roles": []any{"agent"}}, ""},
	} {
		var got []string
		for _, f := range NewInspector().Inspect(tt.section, tt.object) {
			got = append(got, f.String())
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%s %v: %q, want %q", tt.section, tt.object, got, tt.want)
		}
	}
}

func TestUserTimes(t *testing.T) {
	for _, u := range []User{{Email: "a@example.com", CreatedAt: "x"}, {Email: "a@example.com", UpdatedAt: "yesterday"}} {
		if err := u.Complete(""); err == nil || !strings.Contains(err.Error(), "is not an RFC 3339 time") {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

func TestNearestName(t *testing.T) {
	known := []string{"app_metadata", "user_metadata", "callbacks", "name", "id"}
	for name, want := range map[string]string{
		"callback": "callbacks", "CallBacks": "callbacks", "calblacks": "callbacks", "call-back_s": "callbacks", "calls": "",
		"nmae": "name", "ip": "", "aper_metadata": "", strings.Repeat("x", 1<<20): "", "": "", //nolint:misspell // that is the test
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%.20s: got %q, want %q", name, got, want)
		}
	}
}
