package mock

import (
	"encoding/json"
	"slices"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// The objects of the Management API that logins read, made from its documents.

func (m *managed) putClient(_ string, body []byte) error {
	var c tenant.Client
	if err := json.Unmarshal(body, &c); err != nil {
		return err
	}
	_, err := m.t.putClient(c)
	return err
}

func (m *managed) apiIDs() []string {
	out := []string{managementID}
	for _, identifier := range m.t.st.apiOrder {
		out = append(out, m.t.st.apis[identifier].ID)
	}
	return out
}

func (m *managed) findAPI(id string) any {
	if id == managementID {
		return m.t.managementAPI(m.c.issuer)
	}
	for _, api := range m.t.st.apis {
		if api.ID == id {
			return api
		}
	}
	return nil
}

func (m *managed) putAPI(id string, body []byte) error {
	var api tenant.ResourceServer
	if err := json.Unmarshal(body, &api); err != nil {
		return err
	}
	if id == managementID {
		changed := *m.t.st.management
		changed.TokenLifetime, changed.SkipConsent = api.TokenLifetime, api.SkipConsent
		m.t.st.management = &changed
		return nil
	}
	_, err := m.t.putAPI(api)
	return err
}

func (m *managed) dropAPI(id string) {
	if api, found := m.findAPI(id).(*tenant.ResourceServer); found {
		m.t.st.dropAPI(api.Identifier)
	}
}

func (m *managed) grantIDs() []string {
	out := make([]string, 0, len(m.t.st.grantOrder))
	for _, key := range m.t.st.grantOrder {
		out = append(out, m.t.st.grants[key].ID)
	}
	return out
}

func (m *managed) findGrant(id string) any {
	for _, g := range m.t.st.grants {
		if g.ID == id {
			return g
		}
	}
	return nil
}

func (m *managed) putGrant(_ string, body []byte) error {
	var g tenant.ClientGrant
	if err := json.Unmarshal(body, &g); err != nil {
		return err
	}
	return m.t.st.addGrant(g)
}

func (m *managed) dropGrant(id string) {
	if g, found := m.findGrant(id).(*tenant.ClientGrant); found {
		m.t.st.dropGrant(grantKey(g.ClientID, g.Audience, g.SubjectType))
	}
}

func (m *managed) roleIDs() []string {
	out := make([]string, 0, len(m.t.st.roleOrder))
	for _, key := range m.t.st.roleOrder {
		out = append(out, m.t.st.roles[key].ID)
	}
	return out
}

func (m *managed) findRole(id string) any {
	_, r := m.t.st.roleByID(id)
	return pointer(r)
}

func (m *managed) putRole(id string, body []byte) error {
	var r tenant.Role
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	old, _ := m.t.st.roleByID(id)
	m.t.st.renameRole(old, &r)
	return nil
}

func (m *managed) dropRole(id string) {
	if key, r := m.t.st.roleByID(id); r != nil {
		m.t.st.dropRole(key)
	}
}

func (m *managed) putUser(id string, body []byte) error {
	var u tenant.User
	if err := json.Unmarshal(body, &u); err != nil {
		return err
	}
	u.Roles = m.roleKeys(u.Roles)
	old := m.t.st.users[id]
	if err := m.t.st.replaceUser(old, &u); err != nil {
		return err
	}
	if old != nil && old.Password != u.Password {
		delete(m.t.st.attempts, attemptKey("password", id)) // a new password unblocks the user
	}
	return nil
}

func (m *managed) dropUser(id string) {
	if u := m.t.st.users[id]; u != nil {
		m.t.st.dropUser(u)
	}
}

// Connections: databases and passwordless ones are used, others are stored.

func (m *managed) connectionIDs() []string {
	var out []string
	for i := range m.t.st.databases {
		out = append(out, m.t.st.databases[i].ID)
	}
	for i := range m.t.st.passwordless {
		out = append(out, m.t.st.passwordless[i].ID)
	}
	for _, id := range m.t.st.documents.of(management.KindConnection).order {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// storedConnection is the twin of a connection that the mock only stores.
type storedConnection struct{}

func (m *managed) findConnection(id string) any {
	for i := range m.t.st.databases {
		if d := &m.t.st.databases[i]; d.ID == id {
			return d
		}
	}
	for i := range m.t.st.passwordless {
		if c := &m.t.st.passwordless[i]; c.ID == id {
			return c
		}
	}
	doc, known := m.t.st.documents.of(management.KindConnection).byID[id]
	if _, stored := doc.twin.(storedConnection); known && stored || m.storing {
		return storedConnection{}
	}
	return nil
}

func (m *managed) putConnection(_ string, body []byte) error {
	var kind struct {
		Strategy string `json:"strategy"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return err
	}
	switch kind.Strategy {
	case "auth0":
		var d tenant.Database
		if err := json.Unmarshal(body, &d); err != nil {
			return err
		}
		if err := d.Complete(); err != nil {
			return err
		}
		m.t.st.storeDatabase(d)
	case "email", "sms":
		var c tenant.Connection
		if err := json.Unmarshal(body, &c); err != nil {
			return err
		}
		if err := c.Complete(); err != nil {
			return err
		}
		m.t.st.storePasswordless(c)
	default:
		m.storing = true
	}
	return nil
}

func (m *managed) dropConnection(id string) { m.t.st.dropConnection(id) }

func (m *managed) putOrganization(_ string, body []byte) error {
	var o tenant.Organization
	if err := json.Unmarshal(body, &o); err != nil {
		return err
	}
	for user, ids := range o.MemberRoles {
		o.MemberRoles[user] = m.roleKeys(ids)
	}
	return m.t.st.addOrganization(o)
}

func (m *managed) settings(string) any { return m.t.st.settings }

func (m *managed) putSettings(_ string, body []byte) error {
	var s tenant.Settings
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	if s.DefaultDirectory == "" {
		s.DefaultDirectory = m.t.st.settings.DefaultDirectory
	}
	if err := s.Check(); err != nil {
		return err
	}
	m.t.st.settings = &s
	return nil
}

// wrote makes what a stored document starts: the ticket of a page, an invitation.
func (m *managed) wrote(kind, id string, body []byte) {
	d := decodeDoc(body)
	switch kind {
	case management.KindTicket:
		if d["kind"] == "password_change" {
			m.t.st.resets[hash(id)] = passwordReset{user: asText(d["user_id"]), expires: parseTime(d["expires_at"])}
		}
	case management.KindInvitation:
		invitee, _ := d["invitee"].(map[string]any)
		m.t.st.invitations[hash(asText(d["ticket_id"]))] = &invitation{
			organization: asText(d["organization_id"]), email: asText(invitee["email"]), expires: parseTime(d["expires_at"]),
		}
	}
}

// removed ends what wrote started.
func (m *managed) removed(kind, id string) {
	if kind != management.KindInvitation {
		return
	}
	d := decodeDoc(m.t.st.documents.of(kind).byID[id].body)
	delete(m.t.st.invitations, hash(asText(d["ticket_id"])))
}
