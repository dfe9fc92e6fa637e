package mock

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// documents are the tenant's objects as the Management API shows them, by kind. An
// object that logins read exists once, as a struct of package tenant; its document adds
// what the mock only stores. A document of an older struct is brought up to date when
// it is read, so that no change by another way is lost.
type documents map[string]*collection

type collection struct {
	order []string // of kinds without a twin
	byID  map[string]document
}

type document struct {
	twin any // the struct that the body was made with, a pointer; nil if the kind has none
	body json.RawMessage
}

func (d documents) of(kind string) *collection {
	if d[kind] == nil {
		d[kind] = &collection{byID: map[string]document{}}
	}
	return d[kind]
}

func (c *collection) put(id string, doc document) {
	if _, known := c.byID[id]; !known {
		c.order = append(c.order, id)
	}
	c.byID[id] = doc
}

func (c *collection) remove(id string) {
	delete(c.byID, id)
	c.order = withoutName(c.order, id)
}

// managed is the tenant's state for one request to the Management API. The caller holds
// t.mu.
type managed struct {
	t *Tenant
	c *call

	storing bool // a connection that the mock only stores is being written
	logged  map[string]Entry
	logIDs  []string // of logged, oldest first
}

// twin connects the documents of a kind with the structs of the description.
type twin struct {
	ids      func() []string
	find     func(id string) any // a pointer that changes with every change; nil: no such object
	put      func(id string, body []byte) error
	drop     func(id string)
	defaults func(map[string]any)
	schema   reflect.Type
}

func (m *managed) twin(kind string) (twin, bool) {
	st := m.t.st
	switch kind {
	case management.KindClient:
		return twin{
			func() []string { return st.clientOrder }, func(id string) any { return pointer(st.clients[id]) }, m.putClient, st.dropClient,
			management.DefaultClient, reflect.TypeFor[tenant.Client](),
		}, true
	case management.KindAPI:
		return twin{m.apiIDs, m.findAPI, m.putAPI, m.dropAPI, management.DefaultAPI, reflect.TypeFor[tenant.ResourceServer]()}, true
	case management.KindGrant:
		return twin{m.grantIDs, m.findGrant, m.putGrant, m.dropGrant, management.DefaultGrant, reflect.TypeFor[tenant.ClientGrant]()}, true
	case management.KindRole:
		return twin{m.roleIDs, m.findRole, m.putRole, m.dropRole, management.DefaultRole, reflect.TypeFor[tenant.Role]()}, true
	case management.KindUser:
		return twin{
			func() []string { return st.userOrder }, func(id string) any { return pointer(st.users[id]) }, m.putUser, m.dropUser,
			management.DefaultUser, reflect.TypeFor[tenant.User](),
		}, true
	case management.KindConnection:
		return twin{m.connectionIDs, m.findConnection, m.putConnection, m.dropConnection, management.DefaultConnection, reflect.TypeFor[tenant.Database]()}, true
	case management.KindOrganization:
		return twin{
			func() []string { return st.orgOrder }, func(id string) any { return pointer(st.orgs[id]) }, m.putOrganization, st.dropOrganization,
			nil, reflect.TypeFor[tenant.Organization](),
		}, true
	case management.KindTenant:
		return twin{
			func() []string { return []string{management.TenantID} }, m.settings, m.putSettings, func(string) {},
			management.DefaultTenant, reflect.TypeFor[tenant.Settings](),
		}, true
	}
	return twin{}, false
}

// pointer makes a nil pointer a nil interface.
func pointer[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}

// IDs implements management.State.
func (m *managed) IDs(kind string) []string {
	if made, isMade := m.made(kind); isMade {
		return made.ids()
	}
	ids := m.t.st.documents.of(kind).order
	if tw, has := m.twin(kind); has {
		ids = tw.ids()
	}
	return slices.Clone(ids)
}

// Read implements management.State.
func (m *managed) Read(kind, id string) (json.RawMessage, bool) {
	if made, isMade := m.made(kind); isMade {
		d := made.read(id)
		if d == nil {
			return nil, false
		}
		return encodeDoc(d), true
	}
	all := m.t.st.documents.of(kind)
	doc, known := all.byID[id]
	tw, has := m.twin(kind)
	if !has {
		return doc.body, known
	}
	object := tw.find(id)
	switch {
	case object == nil:
		return nil, false
	case known && doc.twin == object:
		return m.atIssuer(object, doc.body), true
	}
	system := kind == management.KindAPI && id == managementID // made for each issuer
	if system {
		doc, known = document{}, false
	}
	d := m.refresh(kind, doc.body, object, tw.schema)
	if tw.defaults != nil && !known {
		tw.defaults(d)
	}
	if system {
		return encodeDoc(d), true
	}
	doc = document{object, encodeDoc(d)}
	all.put(id, doc)
	return m.atIssuer(object, doc.body), true
}

// atIssuer returns the document of a grant for the Management API, or of an organization
// with one, with the API's audience at the issuer of the request.
func (m *managed) atIssuer(object any, body json.RawMessage) json.RawMessage {
	own := m.c.issuer + "api/v2/"
	switch o := object.(type) {
	case *tenant.ClientGrant:
		if o.Audience != tenant.ManagementAPI {
			return body
		}
		d := decodeDoc(body)
		d["audience"] = own
		return encodeDoc(d)
	case *tenant.Organization:
		if !slices.ContainsFunc(o.ClientGrants, func(g tenant.OrganizationGrant) bool { return g.Audience == tenant.ManagementAPI }) {
			return body
		}
		d := decodeDoc(body)
		grants, _ := d["client_grants"].([]any)
		for _, g := range grants {
			if ref, isObject := g.(map[string]any); isObject && m.t.st.normalAudience(asText(ref["audience"])) == tenant.ManagementAPI {
				ref["audience"] = own
			}
		}
		return encodeDoc(d)
	}
	return body
}

// Write implements management.State.
func (m *managed) Write(kind, id string, body json.RawMessage) error {
	tw, has := m.twin(kind)
	var object any
	if has {
		if err := tw.put(id, body); err != nil {
			return fieldText(err)
		}
		object = tw.find(id)
	}
	m.t.st.revision++
	m.wrote(kind, id, body)
	m.t.st.documents.of(kind).put(id, document{object, slices.Clone(body)})
	return nil
}

// Remove implements management.State.
func (m *managed) Remove(kind, id string) {
	if made, isMade := m.made(kind); isMade {
		made.remove(id)
		return
	}
	m.t.st.revision++
	if tw, has := m.twin(kind); has {
		tw.drop(id)
	}
	m.removed(kind, id)
	m.t.st.documents.of(kind).remove(id)
}

// RotateKey implements management.State.
func (m *managed) RotateKey() error { return m.t.RotateKey() }

// Send implements management.State.
func (m *managed) Send(msg management.Message) {
	m.t.send(Mail{Time: m.c.now, Kind: msg.Kind, To: msg.To, Link: msg.Link})
}

// refresh returns a document with the members of a struct that changed, and with the
// members of the old body that the struct does not have.
func (m *managed) refresh(kind string, old json.RawMessage, object any, schema reflect.Type) map[string]any {
	d := decodeDoc(old)
	fresh := decodeDoc(encodeDoc(object))
	for name := range jsonNames(schema) {
		value, there := fresh[name]
		if !there {
			delete(d, name)
			continue
		}
		d[name] = overlay(d[name], value)
	}
	m.outward(kind, d)
	return d
}

// overlay returns a value of a struct with the members that only the old one has.
func overlay(old, fresh any) any {
	switch next := fresh.(type) {
	case map[string]any:
		was, _ := old.(map[string]any)
		out := map[string]any{}
		maps.Copy(out, was)
		for name, value := range next {
			out[name] = overlay(out[name], value)
		}
		return out
	case []any:
		was, _ := old.([]any)
		if len(was) != len(next) {
			return next
		}
		out := make([]any, len(next))
		for i := range next {
			if _, isObject := next[i].(map[string]any); isObject {
				out[i] = overlay(was[i], next[i])
			} else {
				out[i] = next[i]
			}
		}
		return out
	}
	return fresh
}

// outward replaces what a struct has in another form than the API: the names of roles,
// empty objects that are not set.
func (m *managed) outward(kind string, d map[string]any) {
	switch kind {
	case management.KindUser:
		d["roles"] = m.roleIDsOf(d["roles"])
	case management.KindOrganization:
		all, _ := d["member_roles"].(map[string]any)
		for user, names := range all {
			all[user] = m.roleIDsOf(names)
		}
	case management.KindAPI:
		if d["id"] == managementID {
			d["is_system"] = true
		}
	case management.KindTenant:
		if page, isObject := d["error_page"].(map[string]any); isObject && len(page) == 0 {
			delete(d, "error_page")
		}
	}
}

func (m *managed) roleIDsOf(names any) []any {
	list, _ := names.([]any)
	out := make([]any, 0, len(list))
	for _, name := range list {
		if r := m.t.st.roles[asText(name)]; r != nil {
			out = append(out, r.ID)
		}
	}
	return out
}

// roleKeys is the reverse of roleIDsOf.
func (m *managed) roleKeys(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if key, r := m.t.st.roleByID(id); r != nil {
			out = append(out, key)
		}
	}
	return out
}

func asText(v any) string {
	s, _ := v.(string)
	return s
}

// jsonNames are the members of a struct.
func jsonNames(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = true
	}
	return out
}

func encodeDoc(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("{}") // structs of strings, numbers and maps; never happens
	}
	return b
}

func decodeDoc(b []byte) map[string]any {
	d := map[string]any{}
	if len(b) > 0 {
		_ = json.Unmarshal(b, &d) // written by encodeDoc
	}
	return d
}
