package mock

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// Export is the tenant's objects as they are now.
type Export struct {
	File        json.RawMessage `json:"file"`         // a tenant file as JSON, with the secrets of clients and the passwords of users
	NotExported []string        `json:"not_exported"` // one line for each kind of object that is not in it
}

// exportIssuer is the issuer in an export. With it the audience of the Management API is
// tenant.ManagementAPI.
const exportIssuer = "https://mockauth0/"

// Export returns the tenant file of the tenant's objects: clients, APIs, grants, roles,
// users, connections, organizations, settings, and what the Management API stores. A
// tenant of that file has the same objects, and its Export is the same. Sessions,
// tokens, invitations, keys and the journal are not in it.
func (t *Tenant) Export() (*Export, error) {
	t.mu.Lock()
	objects := t.snapshot()
	t.mu.Unlock()
	e := objects.file()
	d, err := newDescription(e) // what a tenant of the file has
	if err != nil {
		return nil, fmt.Errorf("mock: the state is not a valid tenant file: %w", err)
	}
	again := (&Tenant{st: &state{description: *d}, management: t.management}).snapshot()
	e.Management.Omitted = objects.missingFrom(again)
	return &Export{File: exportJSON(e), NotExported: objects.left}, nil
}

// Changes returns a channel that gets a value when the Export may have changed, for one
// goroutine that waits for it. A value stands for any number of changes.
func (t *Tenant) Changes() <-chan struct{} {
	t.watched.Store(true)
	return t.changes
}

// changed signals a change.
func (t *Tenant) changed() {
	select {
	case t.changes <- struct{}{}:
	default: // a signal waits already
	}
}

// signalChanges signals what a request changed.
func (t *Tenant) signalChanges() {
	if !t.watched.Load() {
		return
	}
	t.mu.Lock()
	now := t.st.revision
	changed := now != t.revision
	t.revision = now
	t.mu.Unlock()
	if changed {
		t.changed()
	}
}

// snapshot is a tenant's objects as the Management API shows them. Nothing changes it.
type snapshot struct {
	lists     map[string][]exported // by kind
	documents []tenant.Document
	actions   []tenant.Action
	roleKeys  map[string]string // by id of the role
	orgs      map[string]bool
	clients   map[string]bool
	users     map[string]bool
	left      []string
}

// exported is one object.
type exported struct {
	id   string
	body map[string]any
	twin any
}

// withSections are the kinds with a place in a tenant file.
var withSections = []string{
	management.KindTenant, management.KindClient, management.KindAPI, management.KindGrant, management.KindRole, management.KindUser,
	management.KindConnection, management.KindOrganization,
}

// snapshot reads all objects. The caller holds t.mu.
func (t *Tenant) snapshot() *snapshot {
	m := &managed{t: t, c: &call{address: address{issuer: exportIssuer}}}
	s := &snapshot{lists: map[string][]exported{}, actions: t.st.actions, roleKeys: map[string]string{}}
	for _, kind := range withSections {
		for _, id := range m.IDs(kind) {
			body, found := m.Read(kind, id)
			if !found {
				continue
			}
			if kind == management.KindAPI && id == managementID {
				if fresh, now := newManagementAPI(), t.st.management; fresh.TokenLifetime != now.TokenLifetime || fresh.SkipConsent != now.SkipConsent {
					s.documents = append(s.documents, tenant.Document{Kind: kind, ID: id, Body: systemAPI(body)})
				}
				continue
			}
			tw, _ := m.twin(kind)
			s.lists[kind] = append(s.lists[kind], exported{id, decodeDoc(body), tw.find(id)})
		}
	}
	named := map[string]bool{}
	for _, r := range s.lists[management.KindRole] { // as a tenant of the file calls them
		s.roleKeys[r.id] = asText(r.body["name"])
		if named[s.roleKeys[r.id]] {
			s.roleKeys[r.id] = r.id
		}
		named[asText(r.body["name"])] = true
	}
	s.orgs, s.clients, s.users = s.ids(management.KindOrganization), s.ids(management.KindClient), s.ids(management.KindUser)
	for _, kind := range slices.Sorted(maps.Keys(t.st.documents)) {
		all := t.st.documents[kind]
		switch n := len(all.order); {
		case n == 0 || slices.Contains(withSections, kind):
		case management.Stored(kind):
			for _, id := range all.order {
				s.documents = append(s.documents, tenant.Document{Kind: kind, ID: id, Body: all.byID[id].body})
			}
		default:
			s.left = append(s.left, fmt.Sprintf("%s: %d", kind, n))
		}
	}
	return s
}

// systemAPI is what can be changed of the Management API itself.
func systemAPI(body json.RawMessage) json.RawMessage {
	d := decodeDoc(body)
	return encodeDoc(map[string]any{
		"token_lifetime": d["token_lifetime"], "skip_consent_for_verifiable_first_party_clients": d["skip_consent_for_verifiable_first_party_clients"],
	})
}

func (s *snapshot) ids(kind string) map[string]bool {
	out := map[string]bool{}
	for _, o := range s.lists[kind] {
		out[o.id] = true
	}
	return out
}

// file makes the tenant file of the objects.
func (s *snapshot) file() *tenant.File {
	f := &tenant.File{Stored: map[string]json.RawMessage{}, Actions: s.actions, Management: &tenant.Management{Documents: s.documents}}
	for _, o := range s.lists[management.KindTenant] {
		f.Stored["tenant"] = fill(&f.Tenant, o.body)
	}
	for _, o := range s.lists[management.KindClient] {
		d := maps.Clone(o.body)
		if of, isObject := d["default_organization"].(map[string]any); isObject && !s.orgs[asText(of["organization_id"])] {
			delete(d, "default_organization") // of an organization that is gone
		}
		appendObject(f, "clients", &f.Clients, d)
	}
	for _, o := range s.lists[management.KindAPI] {
		appendObject(f, "resourceServers", &f.ResourceServers, o.body)
	}
	for _, o := range s.lists[management.KindGrant] {
		if s.clients[asText(o.body["client_id"])] {
			appendObject(f, "clientGrants", &f.ClientGrants, o.body)
		}
	}
	for _, o := range s.lists[management.KindRole] {
		appendObject(f, "roles", &f.Roles, o.body)
	}
	for _, o := range s.lists[management.KindUser] {
		d := maps.Clone(o.body)
		d["roles"] = s.roleNames(d["roles"])
		appendObject(f, "users", &f.Users, d)
	}
	for _, o := range s.lists[management.KindOrganization] {
		appendObject(f, "organizations", &f.Organizations, s.organization(o.body))
	}
	for _, o := range s.lists[management.KindConnection] {
		switch o.twin.(type) {
		case *tenant.Database:
			appendObject(f, "databases", &f.Databases, o.body)
		case *tenant.Connection:
			appendObject(f, "connections", &f.Connections, o.body)
		default:
			f.OtherConnections = append(f.OtherConnections, encodeDoc(o.body))
		}
	}
	return f
}

// organization returns an organization as a file has it. References to objects that are
// gone have no effect, and a file must not have them.
func (s *snapshot) organization(body map[string]any) map[string]any {
	d := maps.Clone(body)
	keep := func(name string, accepts func(v any) bool) {
		if list, isList := d[name].([]any); isList {
			d[name] = slices.DeleteFunc(slices.Clone(list), func(v any) bool { return !accepts(v) })
		}
	}
	keep("members", func(v any) bool { return s.users[asText(v)] })
	keep("client_grants", func(v any) bool {
		g, _ := v.(map[string]any)
		return s.clients[asText(g["client_id"])]
	})
	if all, isObject := d["member_roles"].(map[string]any); isObject {
		named := map[string]any{}
		for user, ids := range all {
			named[user] = s.roleNames(ids)
		}
		d["member_roles"] = named
	}
	return d
}

// roleNames returns what a file calls roles.
func (s *snapshot) roleNames(ids any) []any {
	list, _ := ids.([]any)
	out := []any{}
	for _, id := range list {
		if key, known := s.roleKeys[asText(id)]; known {
			out = append(out, key)
		}
	}
	return out
}

// appendObject adds an object to a section.
func appendObject[T any](f *tenant.File, section string, list *[]T, body map[string]any) {
	var v T
	f.Stored[fmt.Sprintf("%s[%d]", section, len(*list))] = fill(&v, body)
	*list = append(*list, v)
}

// fill sets a struct from a document and returns the document.
func fill(into any, body map[string]any) json.RawMessage {
	raw := encodeDoc(body)
	_ = json.Unmarshal(raw, into) // the tenant's own object was made from it, or it from that
	return raw
}

// missingFrom lists the members that the objects lack and those of another snapshot
// have.
func (s *snapshot) missingFrom(again *snapshot) []tenant.Omitted {
	var out []tenant.Omitted
	for _, kind := range withSections {
		byID := map[string]map[string]any{}
		for _, o := range again.lists[kind] {
			byID[o.id] = o.body
		}
		for _, o := range s.lists[kind] {
			if members := lacking(o.body, byID[o.id], ""); len(members) > 0 {
				out = append(out, tenant.Omitted{Kind: kind, ID: o.id, Members: members})
			}
		}
	}
	return out
}

func lacking(has, want map[string]any, prefix string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, there := has[name]
		if !there {
			out = append(out, prefix+name)
			continue
		}
		inner, isObject := want[name].(map[string]any)
		if own, alsoObject := value.(map[string]any); isObject && alsoObject {
			out = append(out, lacking(own, inner, prefix+name+".")...)
		}
	}
	return out
}

// exportJSON writes a tenant file, in the order of its sections.
func exportJSON(f *tenant.File) json.RawMessage {
	var out object
	add := func(section string, n int) {
		list := make([]json.RawMessage, 0, n)
		for i := range n {
			list = append(list, f.Stored[fmt.Sprintf("%s[%d]", section, i)])
		}
		if section == "connections" {
			list = append(list, f.OtherConnections...)
		}
		if len(list) > 0 {
			out = append(out, member{section, list})
		}
	}
	out = append(out, member{"tenant", f.Stored["tenant"]})
	add("clients", len(f.Clients))
	add("resourceServers", len(f.ResourceServers))
	add("clientGrants", len(f.ClientGrants))
	add("databases", len(f.Databases))
	add("connections", len(f.Connections))
	add("roles", len(f.Roles))
	add("organizations", len(f.Organizations))
	add("users", len(f.Users))
	if len(f.Actions) > 0 {
		out = append(out, member{"x-actions", f.Actions})
	}
	out = append(out, member{"x-management", f.Management})
	return out.bytes()
}

// showExport is GET /_mock/export.
func (t *Tenant) showExport(w http.ResponseWriter, _ *http.Request) {
	e, err := t.Export()
	if err != nil {
		controlError(w, http.StatusInternalServerError, err.Error())
		return
	}
	respondJSON(w, e)
}
