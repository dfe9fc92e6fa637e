package mock

import (
	"errors"
	"fmt"
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
		_, dup := st.roles[r.Name]
		faults.add(errors.Join(usedTwice(dup, r.Name), st.addRole(r)), "roles[%d]", i)
	}
	users := slices.Clone(e.Users) // one allocation for all
	for i := range users {
		u := &users[i]
		err := st.addUser(u)
		if err != nil && st.users[u.UserID] == nil { // others refer to the user all the same
			st.users[u.UserID] = u
			st.indexUser(u)
		}
		faults.add(err, "users[%d]", i)
	}
	for i, o := range e.Organizations {
		dup := o.Name != "" && st.organization(o.Name) != nil
		faults.add(errors.Join(usedTwice(dup, o.Name), st.addOrganization(o)), "organizations[%d]", i)
	}
	for i, a := range e.Actions {
		faults.add(a.check(), "x-actions[%d]", i)
	}
	if len(e.Clients) == 0 {
		faults.add(faultf("clients", "a tenant needs at least one"), "tenant")
	}
	return st, faults.err()
}

// usedTwice is the fault of a name that another one has.
func usedTwice(dup bool, name string) error {
	if !dup {
		return nil
	}
	return faultf("name", "%q is used twice", name)
}

// addClient adds a client, a faulty one too: others refer to it, and what is
// wrong with them is told in the same run.
func (st *description) addClient(c Client) error {
	err := c.complete()
	if _, dup := st.clients[c.ClientID]; dup {
		return errors.Join(err, faultf("client_id", "%q is used twice", c.ClientID))
	}
	st.clients[c.ClientID] = &c
	st.clientOrder = append(st.clientOrder, c.ClientID)
	return err
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
	if c.ClientSecret == "" && strings.HasPrefix(c.TokenEndpointAuthMethod, "client_secret_") {
		c.ClientSecret = derivedID("client_secret of "+c.ClientID, 64) // exports leave it out
	}
	if c.GrantTypes == nil {
		c.GrantTypes = defaultGrantTypes(*c)
	}
	of := fmt.Sprintf("client %q", c.ClientID)
	return errors.Join(
		knownGrants(c.GrantTypes, of),
		oneOf("token_endpoint_auth_method", c.TokenEndpointAuthMethod, of, authMethods),
		oneOf("jwt_configuration.alg", c.JWT.Alg, of, signingAlgs),
		notNegative("jwt_configuration.lifetime_in_seconds", c.JWT.LifetimeInSeconds, of),
		oneOf("organization_usage", c.OrganizationUsage, of, []string{"deny", "allow", "require"}),
		c.RefreshToken.check(of),
	)
}

// knownGrants refuses a word that is no grant. Those of extensions are URIs, of
// which there may be any (RFC 6749 section 4.5).
func knownGrants(list []string, of string) error {
	var faults []error
	for i, g := range list {
		if !strings.Contains(g, ":") && !slices.Contains(list[:i], g) {
			faults = append(faults, oneOf("grant_types", g, of, []string{grantCode, grantImplicit, grantRefresh, grantClientCredentials, grantPassword}))
		}
	}
	return errors.Join(faults...)
}

func (p *RefreshPolicy) check(of string) error {
	if p == nil {
		return nil
	}
	return errors.Join(
		oneOf("refresh_token.rotation_type", p.RotationType, of, []string{"rotating", "non-rotating"}),
		oneOf("refresh_token.expiration_type", p.ExpirationType, of, []string{"expiring", "non-expiring"}),
		notNegative("refresh_token.leeway", p.Leeway, of),
		notNegative("refresh_token.token_lifetime", p.TokenLifetime, of),
		notNegative("refresh_token.idle_token_lifetime", p.IdleTokenLifetime, of),
	)
}

// oneOf refuses a value that is set, and not one of a list.
func oneOf(field, value, of string, list []string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return faultf(field, "%q of %s is none of %s", clip(value), of, strings.Join(list, ", "))
}

func notNegative(field string, n int, of string) error {
	if n >= 0 {
		return nil
	}
	return faultf(field, "%d of %s is negative", n, of)
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

// addAPI adds an API, a faulty one too; see addClient.
func (st *description) addAPI(api ResourceServer) error {
	err := api.complete()
	if _, dup := st.apis[api.Identifier]; dup {
		return errors.Join(err, faultf("identifier", "%q is used twice", api.Identifier))
	}
	if len(st.apis) == 0 {
		st.firstAPI = api.Identifier
	}
	st.apis[api.Identifier] = &api
	return err
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
	if api.SigningAlg == "HS256" && api.SigningSecret == "" {
		api.SigningSecret = derivedID(api.Identifier, 64) // Auth0 makes one, too
	}
	if api.TokenLifetime == 0 {
		api.TokenLifetime = defaultAPILifetime
	}
	if api.TokenLifetimeForWeb == 0 {
		api.TokenLifetimeForWeb = min(defaultWebLifetime, max(0, api.TokenLifetime))
	}
	if api.TokenDialect == "" {
		api.TokenDialect = "access_token"
	}
	of := fmt.Sprintf("API %q", api.Identifier)
	return errors.Join(
		oneOf("signing_alg", api.SigningAlg, of, signingAlgs),
		notNegative("token_lifetime", api.TokenLifetime, of),
		notNegative("token_lifetime_for_web", api.TokenLifetimeForWeb, of),
		oneOf("token_dialect", api.TokenDialect, of, tokenDialects),
	)
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
