package mock

import (
	"slices"
	"strings"
)

// description is a tenant as its administrator sees it. Its objects are
// replaced, never changed in place: handlers use them without the lock.
type description struct {
	settings    Settings
	actions     []Action
	clients     map[string]*Client // by client_id
	clientOrder []string
	apis        map[string]*ResourceServer // by identifier
	firstAPI    string                     // the one that /_mock/resource/ protects
	grants      map[string]ClientGrant     // by grantKey
	roles       map[string]Role
	orgs        map[string]*Organization // by id
	databases   []Database
	users       map[string]*User // by user_id
	byLogin     map[string]*User // by e-mail address and username in lower case, the first of several
	userOrder   []string
}

// newDescription reads an export, which it neither changes nor keeps.
func newDescription(e *Export) (*description, error) {
	st := &description{
		settings: e.Tenant, actions: e.Actions, roles: map[string]Role{}, databases: e.Databases,
		clients: map[string]*Client{}, apis: map[string]*ResourceServer{}, grants: map[string]ClientGrant{},
		orgs: map[string]*Organization{}, users: make(map[string]*User, len(e.Users)),
		byLogin: make(map[string]*User, len(e.Users)), userOrder: make([]string, 0, len(e.Users)),
	}
	if st.settings.DefaultDirectory == "" {
		st.settings.DefaultDirectory = defaultConnection
	}
	var faults faultList
	faults.add(st.settings.check(), "tenant")
	for i, c := range e.Clients {
		faults.add(st.addClient(c), "clients[%d]", i)
	}
	for i, api := range e.ResourceServers {
		faults.add(st.addAPI(api), "resourceServers[%d]", i)
	}
	for i, g := range e.ClientGrants {
		faults.add(st.addGrant(g), "clientGrants[%d]", i)
	}
	for i, r := range e.Roles {
		faults.add(st.addRole(r), "roles[%d]", i)
	}
	users := slices.Clone(e.Users) // one allocation for all
	for i := range users {
		faults.add(st.addUser(&users[i]), "users[%d]", i)
	}
	for i, o := range e.Organizations {
		faults.add(st.addOrganization(o), "organizations[%d]", i)
	}
	for i, a := range e.Actions {
		faults.add(a.check(), "x-actions[%d]", i)
	}
	if len(e.Clients) == 0 {
		faults.add(faultf("clients", "a tenant needs at least one"), "tenant")
	}
	return st, faults.err()
}

func (st *description) addClient(c Client) error {
	if err := c.complete(); err != nil {
		return err
	}
	if _, dup := st.clients[c.ClientID]; dup {
		return faultf("client_id", "%q is used twice", c.ClientID)
	}
	st.clients[c.ClientID] = &c
	st.clientOrder = append(st.clientOrder, c.ClientID)
	return nil
}

// complete checks a client and fills in what the Management API would.
func (c *Client) complete() error {
	if c.ClientID == "" {
		if c.Name == "" {
			return faultf("client_id", "a client needs a client_id or a name")
		}
		c.ClientID = derivedID(c.Name, 32)
	}
	if c.TokenEndpointAuthMethod == "" {
		c.TokenEndpointAuthMethod = defaultAuthMethod(*c)
	}
	if !slices.Contains(authMethods, c.TokenEndpointAuthMethod) {
		return faultf("token_endpoint_auth_method", "%q of client %q is none of %s",
			c.TokenEndpointAuthMethod, c.ClientID, strings.Join(authMethods, ", "))
	}
	if c.GrantTypes == nil {
		c.GrantTypes = defaultGrantTypes(*c)
	}
	if !slices.Contains(signingAlgs, c.JWT.Alg) && c.JWT.Alg != "" {
		return faultf("jwt_configuration.alg", "%q of client %q is none of %s", c.JWT.Alg, c.ClientID, strings.Join(signingAlgs, ", "))
	}
	if c.JWT.LifetimeInSeconds < 0 {
		return faultf("jwt_configuration.lifetime_in_seconds", "%d of client %q is negative", c.JWT.LifetimeInSeconds, c.ClientID)
	}
	if p := c.RefreshToken; p != nil && (p.Leeway < 0 || p.TokenLifetime < 0 || p.IdleTokenLifetime < 0) {
		return faultf("refresh_token", "a time of client %q is negative", c.ClientID)
	}
	return nil
}

// signingAlgs are the algorithms of tokens, as discovery lists them.
var signingAlgs = []string{"HS256", "RS256", "PS256"}

var authMethods = []string{"none", "client_secret_post", "client_secret_basic", "private_key_jwt"}

func defaultAuthMethod(c Client) string {
	switch {
	case c.Authentication != nil:
		return "private_key_jwt"
	case c.AppType == "spa" || c.AppType == "native":
		return "none"
	}
	return "client_secret_post"
}

// defaultGrantTypes are those that the Management API sets for a new client of the type.
func defaultGrantTypes(c Client) []string {
	switch c.AppType {
	case "non_interactive":
		return []string{grantClientCredentials}
	case "native":
		return []string{grantCode, grantImplicit, grantRefresh, grantDevice}
	}
	return []string{grantCode, grantImplicit, grantRefresh, grantClientCredentials}
}

func (st *description) addAPI(api ResourceServer) error {
	if err := api.complete(); err != nil {
		return err
	}
	if _, dup := st.apis[api.Identifier]; dup {
		return faultf("identifier", "%q is used twice", api.Identifier)
	}
	if len(st.apis) == 0 {
		st.firstAPI = api.Identifier
	}
	st.apis[api.Identifier] = &api
	return nil
}

var tokenDialects = []string{"access_token", "access_token_authz", "rfc9068_profile", "rfc9068_profile_authz"}

// complete checks an API and fills in what the Management API would.
func (api *ResourceServer) complete() error {
	if api.Identifier == "" {
		return faultf("identifier", "API %q has none", api.Name)
	}
	if api.SigningAlg == "" {
		api.SigningAlg = "RS256"
	}
	if !slices.Contains(signingAlgs, api.SigningAlg) {
		return faultf("signing_alg", "%q of API %q is none of %s", api.SigningAlg, api.Identifier, strings.Join(signingAlgs, ", "))
	}
	if api.SigningAlg == "HS256" && api.SigningSecret == "" {
		api.SigningSecret = derivedID(api.Identifier, 64) // Auth0 makes one, too
	}
	if api.TokenLifetime < 0 || api.TokenLifetimeForWeb < 0 {
		return faultf("token_lifetime", "a lifetime of API %q is negative", api.Identifier)
	}
	if api.TokenLifetime == 0 {
		api.TokenLifetime = defaultAPILifetime
	}
	if api.TokenLifetimeForWeb == 0 {
		api.TokenLifetimeForWeb = min(defaultWebLifetime, api.TokenLifetime)
	}
	if api.TokenDialect == "" {
		api.TokenDialect = "access_token"
	}
	if !slices.Contains(tokenDialects, api.TokenDialect) {
		return faultf("token_dialect", "%q of API %q is none of %s",
			api.TokenDialect, api.Identifier, strings.Join(tokenDialects, ", "))
	}
	return nil
}

func (st *description) addRole(r Role) error {
	if r.Name == "" {
		return faultf("name", "a role has none")
	}
	st.roles[r.Name] = r
	return nil
}

func (st *description) addGrant(g ClientGrant) error {
	c := st.client(g.ClientID)
	if c == nil {
		return faultf("client_id", "%q is neither a client's id nor its name", g.ClientID)
	}
	g.ClientID = c.ClientID
	st.grants[grantKey(g.ClientID, g.Audience, g.SubjectType)] = g
	return nil
}

func grantKey(client, audience, subject string) string {
	if subject == "" {
		subject = "client"
	}
	return client + "\x00" + audience + "\x00" + subject
}

// client finds a client by id, else by name, as exports refer to it.
func (st *description) client(ref string) *Client {
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
func (st *description) addOrganization(o Organization) error {
	if o.Name == "" {
		return faultf("name", "an organization has none")
	}
	if old := st.organization(o.Name); old != nil && o.ID == "" {
		o.ID = old.ID
	}
	if o.ID == "" {
		o.ID = "org_" + derivedID(o.Name, 16)
	}
	members := make([]string, 0, len(o.Members))
	for _, m := range o.Members {
		u := st.userByLogin(m)
		if u == nil {
			return faultf("members", "organization %q has the member %q, who is not among users", o.Name, m)
		}
		members = append(members, u.UserID)
	}
	o.Members = members
	st.orgs[o.ID] = &o
	return nil
}

// organization finds an organization by id or name.
func (st *description) organization(ref string) *Organization {
	if o := st.orgs[ref]; o != nil {
		return o
	}
	for _, o := range st.orgs {
		if o.Name == ref {
			return o
		}
	}
	return nil
}

// check refuses lifetimes that no session can have.
func (s Settings) check() error {
	const most = 24 * 366 * 100 // hours
	if s.SessionLifetime < 0 || s.SessionLifetime > most || s.IdleSession < 0 || s.IdleSession > most {
		return faultf("session_lifetime, idle_session_lifetime", "%v and %v are not hours of at most a century",
			s.SessionLifetime, s.IdleSession)
	}
	return nil
}
