package mock

import (
	"errors"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// description is the tenant as an administrator configures it. Its objects are
// replaced, never changed: handlers read them without the lock.
type description struct {
	settings     *tenant.Settings
	actions      []tenant.Action
	clients      map[string]*tenant.Client // by client_id
	clientOrder  []string
	apis         map[string]*tenant.ResourceServer // by identifier
	apiOrder     []string
	grants       map[string]*tenant.ClientGrant // by grantKey
	grantOrder   []string
	roles        map[string]*tenant.Role // by name; a second one of a name by its id
	roleOrder    []string
	orgs         map[string]*tenant.Organization // by id
	orgOrder     []string
	databases    []tenant.Database
	connections  []string // of users
	passwordless []tenant.Connection
	users        map[string]*tenant.User // by user_id
	byLogin      map[string]*tenant.User // by e-mail address and username in lower case; of several users the first
	userOrder    []string
	ignored      []string // of the tenant file

	revision int // counts changes by logins and the Management API

	management *tenant.ResourceServer // the Management API, whose identifier each issuer has
	documents  documents
}

// newDescription copies a tenant file and checks it.
func newDescription(e *tenant.File) (*description, error) {
	settings := e.Tenant
	st := &description{
		settings: &settings, actions: e.Actions, roles: map[string]*tenant.Role{}, databases: slices.Clone(e.Databases),
		passwordless: slices.Clone(e.Connections), ignored: e.Ignored, management: newManagementAPI(), documents: documents{},
		clients: map[string]*tenant.Client{}, apis: map[string]*tenant.ResourceServer{}, grants: map[string]*tenant.ClientGrant{},
		orgs: map[string]*tenant.Organization{}, users: make(map[string]*tenant.User, len(e.Users)),
		byLogin: make(map[string]*tenant.User, len(e.Users)), userOrder: make([]string, 0, len(e.Users)),
	}
	if st.settings.DefaultDirectory == "" {
		st.settings.DefaultDirectory = tenant.DefaultConnection
	}
	var errs errorList
	errs.add(st.settings.Check(), "tenant")
	for i, c := range e.Clients {
		errs.add(st.addClient(c), "clients[%d]", i)
	}
	for i, api := range e.ResourceServers {
		errs.add(st.addAPI(api), "resourceServers[%d]", i)
	}
	for i, g := range e.ClientGrants {
		errs.add(errors.Join(st.repeatedGrant(g), st.addGrant(g)), "clientGrants[%d]", i)
	}
	for i, r := range e.Roles {
		errs.add(st.addFileRole(r), "roles[%d]", i)
	}
	users := slices.Clone(e.Users) // one allocation for all
	for i := range users {
		u := &users[i]
		err := st.addUser(u)
		if err != nil && st.users[u.UserID] == nil { // keep it, so that references to it are not errors too
			st.users[u.UserID] = u
			st.indexUser(u)
		}
		errs.add(err, "users[%d]", i)
	}
	for i, o := range e.Organizations {
		dup := o.Name != "" && st.organization(o.Name) != nil
		errs.add(errors.Join(duplicateName(dup, o.Name), repeatedID(o.ID, st.orgs[o.ID] != nil), st.addOrganization(o)), "organizations[%d]", i)
	}
	names, ids := map[string]bool{}, map[string]bool{} // of connections
	for i := range st.databases {
		d := &st.databases[i]
		errs.add(errors.Join(duplicateName(names[d.Name], d.Name), repeatedID(d.ID, ids[d.ID]), d.Complete()), "databases[%d]", i)
		names[d.Name], ids[d.ID] = d.Name != "", true
	}
	for i := range st.passwordless {
		c := &st.passwordless[i]
		errs.add(errors.Join(duplicateName(names[c.Name], c.Name), repeatedID(c.ID, ids[c.ID]), c.Complete()), "connections[%d]", i)
		names[c.Name], ids[c.ID] = c.Name != "", true
	}
	for i, c := range e.Clients {
		errs.add(st.checkDefaultOrganization(c), "clients[%d]", i)
	}
	for i, a := range e.Actions {
		errs.add(a.Check(), "x-actions[%d]", i)
	}
	if len(e.Clients) == 0 && e.Management == nil { // the Management API can delete all
		errs.add(fieldError("clients", "a tenant needs at least one"), "tenant")
	}
	if err := errs.err(); err != nil {
		return st, err
	}
	st.revision = 0 // the file itself is not a change
	return st, st.loadDocuments(e)
}

// firstAPI returns the audience that /_mock/resource/ requires, "" for none.
func (st *description) firstAPI() string {
	if len(st.apiOrder) == 0 {
		return ""
	}
	return st.apiOrder[0]
}

// duplicateName returns an error when another object has the name.
func duplicateName(dup bool, name string) error {
	if !dup {
		return nil
	}
	return fieldError("name", "%q is used twice", name)
}

// repeatedGrant returns an error for a second client grant of a client for an API.
func (st *description) repeatedGrant(g tenant.ClientGrant) error {
	c := st.client(g.ClientID)
	if c == nil {
		return nil
	}
	if _, dup := st.grants[grantKey(c.ClientID, st.normalAudience(g.Audience), g.SubjectType)]; !dup {
		return nil
	}
	return fieldError("audience", "client %q has two client grants for %q", g.ClientID, g.Audience)
}

// addClient adds a client even if it is not valid, so that references to it are
// not reported as errors too.
func (st *description) addClient(c tenant.Client) error {
	err := c.Complete()
	if _, dup := st.clients[c.ClientID]; dup {
		return errors.Join(err, fieldError("client_id", "%q is used twice", c.ClientID))
	}
	st.clients[c.ClientID] = &c
	st.clientOrder = append(st.clientOrder, c.ClientID)
	return err
}

// addAPI adds an API even if it is not valid; see addClient.
func (st *description) addAPI(api tenant.ResourceServer) error {
	err := errors.Join(api.Complete(), st.checkAPIID(&api))
	if _, dup := st.apis[api.Identifier]; dup {
		return errors.Join(err, fieldError("identifier", "%q is used twice", api.Identifier))
	}
	st.storeAPI(&api)
	return err
}

// addFileRole adds a role of a tenant file. A second one of a name needs an id of its own,
// under which users have it.
func (st *description) addFileRole(r tenant.Role) error {
	if st.roles[r.Name] == nil || r.ID == "" {
		_, dup := st.roles[r.Name]
		return errors.Join(duplicateName(dup, r.Name), st.addRole(r))
	}
	if _, other := st.roleByID(r.ID); other != nil {
		return fieldError("id", "%q is used twice", r.ID)
	}
	st.storeRole(r.ID, &r)
	return nil
}

func (st *description) addRole(r tenant.Role) error {
	if r.Name == "" {
		return fieldError("name", "a role needs a name")
	}
	if old := st.roles[r.Name]; r.ID == "" && old != nil {
		r.ID = old.ID
	}
	if r.ID == "" {
		r.ID = management.DerivedID("rol_", r.Name, 16)
	}
	if err := st.checkRoleID(&r); err != nil {
		return err
	}
	st.storeRole(r.Name, &r)
	return nil
}

func (st *description) addGrant(g tenant.ClientGrant) error {
	c := st.client(g.ClientID)
	if c == nil {
		return fieldError("client_id", "%q is neither a client's id nor its name", g.ClientID)
	}
	if err := g.Check(); err != nil {
		return err
	}
	g.ClientID, g.Audience = c.ClientID, st.normalAudience(g.Audience)
	key := grantKey(g.ClientID, g.Audience, g.SubjectType)
	if old := st.grants[key]; g.ID == "" && old != nil {
		g.ID = old.ID
	}
	if g.ID == "" {
		g.ID = management.DerivedID("cgr_", key, 16)
	}
	if err := st.checkGrantID(key, &g); err != nil {
		return err
	}
	st.storeGrant(&g)
	return nil
}

func grantKey(client, audience, subject string) string {
	if subject == "" {
		subject = "client"
	}
	return client + "\x00" + audience + "\x00" + subject
}

// client finds a client by its id, or by its name as exports refer to it.
func (st *description) client(ref string) *tenant.Client {
	if c := st.clients[ref]; c != nil {
		return c
	}
	for _, id := range st.clientOrder {
		if st.clients[id].Name == ref {
			return st.clients[id]
		}
	}
	return nil
}

// addOrganization adds an organization or replaces the one of the same id or name.
func (st *description) addOrganization(o tenant.Organization) error {
	if old := st.organization(o.Name); old != nil && o.ID == "" {
		o.ID = old.ID
	}
	if err := o.Complete(); err != nil {
		return err
	}
	members := make([]string, 0, len(o.Members))
	for _, m := range o.Members {
		u := st.userByLogin(m)
		if u == nil {
			return fieldError("members", "organization %q has the member %q, who is not in users", o.Name, m)
		}
		members = append(members, u.UserID)
	}
	o.Members = members
	grants := make([]tenant.OrganizationGrant, 0, len(o.ClientGrants))
	for _, g := range o.ClientGrants {
		c := st.client(g.ClientID)
		if c == nil {
			return fieldError("client_grants", "organization %q has a grant of %q, which is neither a client's id nor its name", o.Name, g.ClientID)
		}
		grants = append(grants, tenant.OrganizationGrant{ClientID: c.ClientID, Audience: st.normalAudience(g.Audience)})
	}
	o.ClientGrants = grants
	if st.orgs[o.ID] == nil {
		st.orgOrder = append(st.orgOrder, o.ID)
	}
	st.orgs[o.ID] = &o
	return nil
}

func (st *description) checkDefaultOrganization(c tenant.Client) error {
	if d := c.DefaultOrganization; d != nil && st.organization(d.ID) == nil {
		return fieldError("default_organization", "the tenant has no organization %q", d.ID)
	}
	return nil
}

// organization finds an organization by id or name.
func (st *description) organization(ref string) *tenant.Organization {
	if o := st.orgs[ref]; o != nil {
		return o
	}
	return st.organizationNamed(ref)
}

func (st *description) organizationNamed(name string) *tenant.Organization {
	for _, o := range st.orgs {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// requestedOrganization finds the organization that a request names: by its id, and by
// its name if the tenant allows that.
func (st *description) requestedOrganization(ref string) *tenant.Organization {
	o := st.orgs[ref]
	if o == nil && st.settings.OrganizationNames {
		o = st.organizationNamed(strings.ToLower(ref))
	}
	return o
}

// organizationsOf returns the organizations of a user, in the order in which they were
// added.
func (st *description) organizationsOf(user string) []*tenant.Organization {
	var out []*tenant.Organization
	for _, id := range st.orgOrder {
		if o := st.orgs[id]; o != nil && slices.Contains(o.Members, user) {
			out = append(out, o)
		}
	}
	return out
}
