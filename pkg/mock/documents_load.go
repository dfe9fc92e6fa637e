package mock

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// The documents of a tenant file: the members that only the Management API shows.

// sections are the kinds of objects that have a list in a tenant file, by the name of
// the list.
var sections = []struct{ name, kind string }{
	{"clients", management.KindClient},
	{"resourceServers", management.KindAPI},
	{"clientGrants", management.KindGrant},
	{"roles", management.KindRole},
	{"users", management.KindUser},
	{"organizations", management.KindOrganization},
}

// loadDocuments makes the documents of a file. The objects that logins read are there
// already, and valid.
func (st *description) loadDocuments(e *tenant.File) error {
	m := &managed{t: &Tenant{st: &state{description: *st}}, c: &call{}}
	omitted := map[[2]string][]string{}
	if e.Management != nil {
		for _, a := range e.Management.Omitted {
			omitted[[2]string{a.Kind, a.ID}] = a.Members
		}
	}
	adopt := func(place, kind, id string) {
		if raw := e.Stored[place]; raw != nil || len(omitted[[2]string{kind, id}]) > 0 {
			m.adopt(kind, id, raw, omitted[[2]string{kind, id}])
		}
	}
	adopt("tenant", management.KindTenant, management.TenantID)
	for _, s := range sections {
		ids := slices.DeleteFunc(m.IDs(s.kind), func(id string) bool { return id == managementID })
		for i, id := range ids {
			adopt(fmt.Sprintf("%s[%d]", s.name, i), s.kind, id)
		}
	}
	for i := range st.databases {
		adopt(fmt.Sprintf("databases[%d]", i), management.KindConnection, st.databases[i].ID)
	}
	for i := range st.passwordless {
		adopt(fmt.Sprintf("connections[%d]", i), management.KindConnection, st.passwordless[i].ID)
	}
	for _, raw := range e.OtherConnections {
		m.adoptConnection(raw, omitted)
	}
	if e.Management == nil {
		return nil
	}
	var errs errorList
	for i, d := range e.Management.Documents {
		errs.add(m.load(d), "x-management.documents[%d]", i)
	}
	return errs.err()
}

// adopt makes the document of an object of a tenant file.
func (m *managed) adopt(kind, id string, raw json.RawMessage, omitted []string) {
	tw, _ := m.twin(kind)
	object := tw.find(id)
	d := withoutNulls(decodeDoc(raw))
	for name, value := range decodeDoc(encodeDoc(object)) {
		d[name] = overlay(d[name], value)
	}
	m.outward(kind, d)
	if tw.defaults != nil {
		tw.defaults(d)
	}
	for _, path := range omitted {
		dropMember(d, path)
	}
	m.t.st.documents.of(kind).put(id, document{object, encodeDoc(d)})
}

// adoptConnection makes the document of a connection that the mock only stores. One
// without a name, or with a name that another connection has, is left out.
func (m *managed) adoptConnection(raw json.RawMessage, omitted map[[2]string][]string) {
	d := withoutNulls(decodeDoc(raw))
	name := asText(d["name"])
	id := asText(d["id"])
	if id == "" {
		id = management.DerivedID("con_", "connection "+name, 16)
	}
	for _, other := range m.connectionIDs() {
		body, _ := m.Read(management.KindConnection, other)
		if name == "" || other == id || asText(decodeDoc(body)["name"]) == name {
			return
		}
	}
	d["id"] = id
	if list, isList := d["enabled_clients"].([]any); isList {
		for i, ref := range list { // exports have names
			if c := m.t.st.client(asText(ref)); c != nil {
				list[i] = c.ClientID
			}
		}
	}
	management.DefaultConnection(d)
	for _, path := range omitted[[2]string{management.KindConnection, id}] {
		dropMember(d, path)
	}
	m.t.st.documents.of(management.KindConnection).put(id, document{storedConnection{}, encodeDoc(d)})
}

// load puts a document of x-management in its place.
func (m *managed) load(d tenant.Document) error {
	body := decodeDoc(d.Body)
	system := d.Kind == management.KindAPI && d.ID == managementID
	switch {
	case !system && !management.Stored(d.Kind):
		return fieldError("kind", "%.200q has no documents in x-management", d.Kind)
	case d.ID == "" || len(body) == 0:
		return fieldError("body", "the document %.200q of kind %s needs an id and members", d.ID, d.Kind)
	}
	if !system {
		m.t.st.documents.of(d.Kind).put(d.ID, document{nil, encodeDoc(body)})
		return nil
	}
	var api tenant.ResourceServer
	if err := json.Unmarshal(d.Body, &api); err != nil {
		return fieldError("body", "%v", err)
	}
	m.t.st.management.TokenLifetime, m.t.st.management.SkipConsent = api.TokenLifetime, api.SkipConsent
	return nil
}

// withoutNulls removes members that a file sets to null.
func withoutNulls(d map[string]any) map[string]any {
	for name, value := range d {
		if value == nil {
			delete(d, name)
		}
	}
	return d
}

// dropMember removes a member of an object or of one inside it.
func dropMember(d map[string]any, path string) {
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		delete(d, first)
		return
	}
	if inner, isObject := d[first].(map[string]any); isObject {
		dropMember(inner, rest)
	}
}
