package mock

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The values of grant_type (RFC 6749, RFC 8628, RFC 8693, Auth0's extensions).
const (
	grantCode              = "authorization_code"
	grantImplicit          = "implicit"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
	grantPasswordRealm     = "http://auth0.com/oauth/grant-type/password-realm"
	grantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
	grantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Lifetimes that Auth0 documents, in seconds unless a time.Duration
// (docs/mock.md has the sources).
const (
	defaultAPILifetime     = 86400
	defaultWebLifetime     = 7200
	defaultIDTokenLifetime = 36000
	defaultRefreshLifetime = 2592000
	defaultConnection      = "Username-Password-Authentication"
	eligibleRole           = "agent" // of the protected API under /_mock/resource/

	codeLifetime    = 10 * time.Minute // undocumented at Auth0; RFC 6749 section 4.1.2 recommends at most ten minutes
	loginLifetime   = time.Hour
	sessionLifetime = 168 * time.Hour
	sessionIdle     = 72 * time.Hour
)

// state is everything that a tenant knows, guarded by Tenant.mu.
type state struct {
	settings    Settings
	login       LoginMode
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
	userOrder   []string

	sessions map[string]*session     // by cookie
	logins   map[string]*transaction // by the state of /u/login
	consents map[string]bool         // by consentKey
	codes    map[string]*code        // by hash
	families map[string]*family      // by id
	refresh  map[string]*refreshToken
	owned    map[string][]*family // by ownerKey, oldest first
	devices  map[string]*device   // by hash of the device_code
	attempts map[string]int       // failed ones, by kind and subject
	pushed   map[string]*pushed   // by request_uri
	revoked  map[string]bool      // hashes of access tokens that no longer open /userinfo
	jtis     map[string]time.Time // client assertions that were used, until they expire
}

func newState(e *Export, login LoginMode) (*state, error) {
	st := &state{
		settings: e.Tenant, login: login, actions: e.Actions, roles: map[string]Role{}, databases: slices.Clone(e.Databases),
		clients: map[string]*Client{}, apis: map[string]*ResourceServer{}, grants: map[string]ClientGrant{},
		orgs: map[string]*Organization{}, users: map[string]*User{},
		sessions: map[string]*session{}, logins: map[string]*transaction{}, consents: map[string]bool{},
		codes: map[string]*code{}, families: map[string]*family{}, refresh: map[string]*refreshToken{},
		owned: map[string][]*family{}, devices: map[string]*device{}, pushed: map[string]*pushed{},
		revoked: map[string]bool{}, jtis: map[string]time.Time{}, attempts: map[string]int{},
	}
	if st.settings.DefaultDirectory == "" {
		st.settings.DefaultDirectory = defaultConnection
	}
	var faults faultList
	for i, c := range e.Clients {
		faults.add(st.addClient(c), "clients[%d]", i)
	}
	for i, api := range e.ResourceServers {
		faults.add(st.addAPI(api), "resourceServers[%d]", i)
	}
	for i, g := range e.ClientGrants {
		faults.add(st.addGrant(g), "clientGrants[%d]", i)
	}
	for _, r := range e.Roles {
		st.roles[r.Name] = r
	}
	for i, u := range e.Users {
		faults.add(st.addUser(u), "users[%d]", i)
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

func (st *state) addClient(c Client) error {
	if c.ClientID == "" {
		if c.Name == "" {
			return faultf("client_id", "a client needs a client_id or a name")
		}
		c.ClientID = derivedID(c.Name, 32)
	}
	if _, dup := st.clients[c.ClientID]; dup {
		return faultf("client_id", "%q is used twice", c.ClientID)
	}
	if c.TokenEndpointAuthMethod == "" {
		c.TokenEndpointAuthMethod = defaultAuthMethod(c)
	}
	if !slices.Contains(authMethods, c.TokenEndpointAuthMethod) {
		return faultf("token_endpoint_auth_method", "%q of client %q is none of %s",
			c.TokenEndpointAuthMethod, c.ClientID, strings.Join(authMethods, ", "))
	}
	if c.GrantTypes == nil {
		c.GrantTypes = defaultGrantTypes(c)
	}
	st.clients[c.ClientID] = &c
	st.clientOrder = append(st.clientOrder, c.ClientID)
	return nil
}

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

func (st *state) addAPI(api ResourceServer) error {
	if api.Identifier == "" {
		return faultf("identifier", "API %q has none", api.Name)
	}
	if _, dup := st.apis[api.Identifier]; dup {
		return faultf("identifier", "%q is used twice", api.Identifier)
	}
	if api.SigningAlg == "" {
		api.SigningAlg = "RS256"
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
	if len(st.apis) == 0 {
		st.firstAPI = api.Identifier
	}
	st.apis[api.Identifier] = &api
	return nil
}

func (st *state) addGrant(g ClientGrant) error {
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
func (st *state) client(ref string) *Client {
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

func (st *state) addUser(u User) error {
	if u.Email == "" && u.Username == "" && u.UserID == "" {
		return faultf("email", "a user needs an email, a username or a user_id")
	}
	if u.UserID == "" {
		u.UserID = "auth0|" + derivedID(u.Email+u.Username, 24)
	}
	if !strings.Contains(u.UserID, "|") {
		u.UserID = "auth0|" + u.UserID // as the Management API does
	}
	if u.Connection == "" {
		u.Connection = st.settings.DefaultDirectory
	}
	if u.UpdatedAt == "" {
		u.UpdatedAt = "2026-01-01T00:00:00.000Z"
	}
	for _, r := range u.Roles {
		if _, known := st.roles[r]; !known {
			return faultf("roles", "user %q has the role %q, which is not among roles", u.Email, r)
		}
	}
	if _, dup := st.users[u.UserID]; dup {
		return faultf("user_id", "%q is used twice", u.UserID)
	}
	st.users[u.UserID] = &u
	st.userOrder = append(st.userOrder, u.UserID)
	return nil
}

func (st *state) addOrganization(o Organization) error {
	if o.Name == "" {
		return faultf("name", "an organization has none")
	}
	if o.ID == "" {
		o.ID = "org_" + derivedID(o.Name, 16)
	}
	for i, m := range o.Members {
		u := st.userByLogin(m)
		if u == nil {
			return faultf("members", "organization %q has the member %q, who is not among users", o.Name, m)
		}
		o.Members[i] = u.UserID
	}
	st.orgs[o.ID] = &o
	return nil
}

// userByLogin finds a user by e-mail address, username or id.
func (st *state) userByLogin(login string) *User {
	if u := st.users[login]; u != nil {
		return u
	}
	for _, id := range st.userOrder {
		u := st.users[id]
		if u == nil {
			continue
		}
		if strings.EqualFold(u.Email, login) || (u.Username != "" && strings.EqualFold(u.Username, login)) {
			return u
		}
	}
	return nil
}

// permissions returns the user's permissions at an API, through roles.
func (st *state) permissions(u *User, audience string) []string {
	var out []string
	for _, r := range u.Roles {
		for _, p := range st.roles[r].Permissions {
			if p.Resource == audience && !slices.Contains(out, p.Name) {
				out = append(out, p.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// derivedID makes a stable id of n hex or more characters for a thing that has only a name.
func derivedID(name string, n int) string {
	h := sha256.Sum256([]byte(name))
	return hex.EncodeToString(h[:])[:n]
}

// randomString returns n characters of base64url.
func (t *Tenant) randomString(n int) string {
	b := make([]byte, (n*6+7)/8)
	if _, err := t.random.Read(b); err != nil {
		panic(fmt.Sprintf("mock: no randomness: %v", err)) // crypto/rand never fails; a test's reader ran dry
	}
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

// hash is how codes and tokens are kept, so that a dump of the state holds none.
func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
