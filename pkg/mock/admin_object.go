package mock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// decodeObject reads an object of a section of the tenant file. It returns one line for
// each member that the mock, or Auth0 itself, does not use. Misspelt members are errors,
// and so are those with which a real tenant refuses what the mock allows.
func (t *Tenant) decodeObject(section string, b []byte, into any) (ignored []string, err error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	var v any
	if err := decodeBytes(b, &v); err != nil {
		return nil, err
	}
	var errs errorList
	if object, isObject := v.(map[string]any); isObject {
		for _, f := range t.inspector().Inspect(section, object) {
			switch {
			case f.Misspelt != "":
				errs = append(errs, fieldError(f.Field.Path, "unknown; did you mean %s?", f.Misspelt))
			case f.Field.Support == "" && section == "x-actions": // has no member that the mock does not know
				errs = append(errs, fieldError(f.Field.Path, "unknown"))
			case f.Changes && f.Field.Support == tenant.Refused && !t.cfg.Lax:
				errs = append(errs, fieldError(f.Field.Path, "a real tenant %s, and the mock does not; --lax accepts this without effect", f.Field.Effect))
			default:
				ignored = append(ignored, f.String())
			}
		}
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return nil, plainJSON(err)
	}
	return append(ignored, notes(reflect.ValueOf(into).Elem().Interface())...), nil
}

// notes returns what has no effect although it is valid.
func notes(object any) []string { return fileOf(object).ObjectNotes() }

// unresolved returns the references of an object to what the tenant does not have. The
// caller holds t.mu.
func (t *Tenant) unresolved(object any) []string {
	st := t.st
	return fileOf(object).Unresolved(tenant.Known{
		API:    func(identifier string) *tenant.ResourceServer { return st.apis[identifier] },
		Client: func(ref string) bool { return st.client(ref) != nil },
		Role: func(name string) bool {
			_, other := st.roleByID(name)
			return st.roles[name] != nil || other != nil
		},
		Connection: func(name string) bool {
			return name == st.settings.DefaultDirectory || slices.Contains(st.connections, name) ||
				st.passwordlessConnection(name) != nil || st.database(name) != nil
		},
	})
}

// fileOf returns a tenant file that has the object only.
func fileOf(object any) *tenant.File {
	f := &tenant.File{}
	switch o := object.(type) {
	case tenant.Settings:
		f.Tenant = o
	case tenant.Client:
		f.Clients = []tenant.Client{o}
	case tenant.ResourceServer:
		f.ResourceServers = []tenant.ResourceServer{o}
	case tenant.ClientGrant:
		f.ClientGrants = []tenant.ClientGrant{o}
	case tenant.Role:
		f.Roles = []tenant.Role{o}
	case tenant.User:
		f.Users = []tenant.User{o}
	case tenant.Organization:
		f.Organizations = []tenant.Organization{o}
	case tenant.Database:
		f.Databases = []tenant.Database{o}
	case tenant.Connection:
		f.Connections = []tenant.Connection{o}
	case tenant.Action:
		f.Actions = []tenant.Action{o}
	}
	return f
}

// writeObject answers with the stored object and what of it has no effect, as the
// member x-ignored, or with the error.
func writeObject(w http.ResponseWriter, v any, ignored []string, err error) {
	if err == nil && len(ignored) > 0 {
		v, err = withIgnored(v, ignored)
	}
	writeResult(w, v, err)
}

func withIgnored(v any, ignored []string) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	list, err := json.Marshal(ignored)
	if err != nil {
		return nil, err
	}
	if b = bytes.TrimSuffix(b, []byte("}")); len(b) > 1 {
		b = append(b, ',')
	}
	return append(append(append(b, `"x-ignored":`...), list...), '}'), nil
}

// replaceActions is PUT /_mock/actions.
func (t *Tenant) replaceActions(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var bodies []json.RawMessage
	if err == nil {
		err = decodeBytes(body, &bodies)
	}
	var errs errorList
	list, shown := make([]tenant.Action, len(bodies)), make([]any, len(bodies))
	for i, b := range bodies {
		ignored, bad := t.decodeObject("x-actions", b, &list[i])
		if bad == nil {
			bad = list[i].Check()
		}
		if shown[i] = list[i]; len(ignored) > 0 && bad == nil {
			shown[i], bad = withIgnored(list[i], ignored)
		}
		if bad != nil {
			errs = append(errs, fmt.Errorf("actions[%d]: %w", i, bad))
		}
	}
	if err == nil {
		err = errs.err()
	}
	if err == nil {
		t.mu.Lock()
		t.st.actions = list
		t.mu.Unlock()
	}
	writeResult(w, shown, err)
}
