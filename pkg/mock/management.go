package mock

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

const (
	managementPrefix = "/api/v2/"
	managementLimit  = 50 // X-RateLimit-Limit, recorded
)

// newManagement reads the API's embedded schema.
func newManagement() *management.API {
	api, err := management.New()
	if err != nil {
		panic("mock: " + err.Error()) // the schema is embedded, and a test reads it
	}
	return api
}

var managementID = management.DerivedID("", "Auth0 Management API", 24)

// newManagementAPI returns the Management API as an API of the tenant. It has no
// identifier: that depends on the issuer.
func newManagementAPI() *tenant.ResourceServer {
	return &tenant.ResourceServer{
		ID: managementID, Name: "Auth0 Management API", SigningAlg: "RS256", TokenLifetime: tenant.DefaultAPILifetime,
		TokenLifetimeForWeb: tenant.DefaultWebLifetime, TokenDialect: "access_token",
	}
}

// managementAPI returns the Management API as it is at an issuer.
func (t *Tenant) managementAPI(issuer string) *tenant.ResourceServer {
	api := *t.st.management
	api.Identifier = issuer + "api/v2/"
	for _, s := range t.management().Scopes() {
		api.Scopes = append(api.Scopes, tenant.Scope{Value: s})
	}
	return &api
}

// api returns an API of the tenant, the Management API included, or nil. The issuer is
// the one of the request.
func (t *Tenant) api(issuer, audience string) *tenant.ResourceServer {
	if api := t.st.apis[audience]; api != nil {
		return api
	}
	if own, found := strings.CutSuffix(audience, "api/v2/"); found && own != "" && (own == issuer || t.st.issuers[own]) {
		return t.managementAPI(own)
	}
	return nil
}

// currentUserScopes are the scopes of the Management API that a token of a user can have
// (https://auth0.com/docs/secure/tokens/access-tokens/management-api-access-tokens/get-management-api-tokens-for-single-page-applications).
var currentUserScopes = []string{
	"read:current_user", "update:current_user_identities", "create:current_user_metadata", "update:current_user_metadata",
	"delete:current_user_metadata", "create:current_user_device_credentials", "delete:current_user_device_credentials",
}

// normalAudience returns the audience under which grants are kept. A tenant file names
// the Management API by the domain that it was exported from; here it is the one of the
// mock.
func (st *description) normalAudience(audience string) string {
	if st.apis[audience] != nil {
		return audience
	}
	if tenant.IsManagementAPI(audience) {
		return tenant.ManagementAPI
	}
	return audience
}

// grantAudience returns the audience under which the grants for an API are kept.
func grantAudience(api *tenant.ResourceServer) string {
	if api.ID == managementID {
		return tenant.ManagementAPI
	}
	return api.Identifier
}

// manage is every endpoint of the Management API.
func (t *Tenant) manage(c *call) {
	body, bad := c.body()
	if bad != nil {
		answer := management.TooLarge(maxBody)
		if bad.Status != http.StatusRequestEntityTooLarge {
			answer.Status = bad.Status
		}
		t.writeManagement(c, answer)
		return
	}
	token, refused := management.Authenticate(c.r.Header.Values("Authorization"), c.issuer, c.now, t.verified.open)
	c.entry.ClientID = clip(token.ClientID)
	if refused != nil {
		t.writeManagement(c, *refused)
		return
	}
	t.writeManagement(c, t.do(management.Request{
		Method: c.r.Method, Path: strings.TrimPrefix(c.r.URL.EscapedPath(), strings.TrimSuffix(managementPrefix, "/")),
		Query: c.query(), Body: body, MediaType: c.r.Header.Get("Content-Type"), Issuer: c.issuer,
		Subject: token.Subject, Scopes: token.Scopes, Now: c.now, Rand: t.random, State: &managed{t: t, c: c},
	}))
}

// do answers a request to the Management API. A panic does not leave the tenant locked.
func (t *Tenant) do(r management.Request) management.Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.management().Do(r)
}

// verifiedTokens remembers the claims of tokens whose signature was verified, because a
// client of the API sends the same token with every request.
type verifiedTokens struct {
	t      *Tenant
	mu     sync.Mutex
	claims map[string]verifiedToken
}

type verifiedToken struct {
	kid    string
	claims map[string]any
}

func (v *verifiedTokens) open(token string) (map[string]any, bool) {
	v.mu.Lock()
	known, found := v.claims[token]
	v.mu.Unlock()
	if found {
		_, valid := v.t.keys.byID(known.kid)
		return known.claims, valid
	}
	claims, valid := v.t.openJWT(token)
	if !valid {
		return nil, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.claims == nil || len(v.claims) >= 64 {
		v.claims = map[string]verifiedToken{}
	}
	v.claims[token] = verifiedToken{keyID(token), claims}
	return claims, true
}

// keyID returns the kid of a JWT that was verified.
func keyID(token string) string {
	head, _, _ := strings.Cut(token, ".")
	var header struct {
		KeyID string `json:"kid"`
	}
	if b, err := base64.RawURLEncoding.DecodeString(head); err == nil {
		_ = json.Unmarshal(b, &header) // it was read before
	}
	return header.KeyID
}

func (t *Tenant) writeManagement(c *call, a management.Answer) {
	h := c.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "origin,accept-encoding")
	c.setReason(a.Reason)
	if a.Status >= http.StatusBadRequest { // recorded on no such answer
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
			h.Del(name)
		}
	}
	if a.Link != "" {
		h.Set("Link", a.Link)
	}
	if a.Body == nil {
		c.w.WriteHeader(a.Status)
		return
	}
	write(c.w, a.Status, jsonTypeUTF8, a.Body)
}

// Objects of the description that the Management API and the control API share.

func (st *description) storeAPI(api *tenant.ResourceServer) {
	if st.apis[api.Identifier] == nil {
		st.apiOrder = append(st.apiOrder, api.Identifier)
	}
	st.apis[api.Identifier] = api
}

func (st *description) dropAPI(identifier string) {
	delete(st.apis, identifier)
	st.apiOrder = withoutName(st.apiOrder, identifier)
}

func (st *description) storeGrant(g *tenant.ClientGrant) {
	key := grantKey(g.ClientID, g.Audience, g.SubjectType)
	if st.grants[key] == nil {
		st.grantOrder = append(st.grantOrder, key)
	}
	st.grants[key] = g
}

func (st *description) dropGrant(key string) {
	delete(st.grants, key)
	st.grantOrder = withoutName(st.grantOrder, key)
}

func (st *description) storeRole(key string, r *tenant.Role) {
	if st.roles[key] == nil {
		st.roleOrder = append(st.roleOrder, key)
	}
	st.roles[key] = r
}

func (st *description) dropRole(key string) {
	delete(st.roles, key)
	st.roleOrder = withoutName(st.roleOrder, key)
}

// roleByID returns the key and the role of an id.
func (st *description) roleByID(id string) (string, *tenant.Role) {
	for key, r := range st.roles {
		if r.ID == id {
			return key, r
		}
	}
	return "", nil
}

// renameRole changes the key of a role, also where users and organizations name it. A
// name that another role has is not taken.
func (st *description) renameRole(old string, r *tenant.Role) {
	key := r.Name
	if other := st.roles[key]; other != nil && other.ID != r.ID {
		key = r.ID
	}
	if key == old {
		st.storeRole(key, r)
		return
	}
	if i := slices.Index(st.roleOrder, old); i >= 0 {
		st.roleOrder[i] = key
	} else {
		st.roleOrder = append(st.roleOrder, key)
	}
	delete(st.roles, old)
	st.roles[key] = r
	if old == "" {
		return
	}
	rename := func(list []string) []string {
		list = slices.Clone(list)
		for i := range list {
			if list[i] == old {
				list[i] = key
			}
		}
		return list
	}
	for id, u := range st.users {
		if slices.Contains(u.Roles, old) {
			changed := *u
			changed.Roles = rename(u.Roles)
			st.unindexUser(u)
			st.users[id] = &changed
			st.indexUser(&changed)
		}
	}
	for id, o := range st.orgs {
		if len(o.MemberRoles) > 0 {
			changed := *o
			changed.MemberRoles = map[string][]string{}
			for user, list := range o.MemberRoles {
				changed.MemberRoles[user] = rename(list)
			}
			st.orgs[id] = &changed
		}
	}
}

func withoutName(list []string, name string) []string {
	if i := slices.Index(list, name); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// storeDatabase adds a database or replaces the one of its id or name.
func (st *description) storeDatabase(d tenant.Database) {
	st.databases = slices.Clone(st.databases)
	for i, old := range st.databases {
		if old.ID == d.ID || old.Name == d.Name {
			st.databases[i] = d
			return
		}
	}
	st.databases = append(st.databases, d)
}

func (st *description) storePasswordless(c tenant.Connection) {
	st.passwordless = slices.Clone(st.passwordless)
	for i, old := range st.passwordless {
		if old.ID == c.ID || old.Name == c.Name {
			st.passwordless[i] = c
			return
		}
	}
	st.passwordless = append(st.passwordless, c)
}

func (st *description) dropConnection(id string) {
	name := ""
	st.databases = slices.DeleteFunc(slices.Clone(st.databases), func(d tenant.Database) bool {
		if d.ID == id {
			name = d.Name
		}
		return d.ID == id
	})
	st.passwordless = slices.DeleteFunc(slices.Clone(st.passwordless), func(c tenant.Connection) bool { return c.ID == id })
	st.connections = withoutName(slices.Clone(st.connections), name)
}

func (st *description) dropClient(id string) {
	delete(st.clients, id)
	st.clientOrder = withoutName(st.clientOrder, id)
}

func (st *description) dropOrganization(id string) {
	delete(st.orgs, id)
	st.orgOrder = withoutName(st.orgOrder, id)
}

// fieldText returns the reason of an error for the Management API's answer.
func fieldText(err error) error {
	list := tenant.FieldErrors(err)
	if len(list) == 0 {
		return err
	}
	return fmt.Errorf("%s", list[0].Reason)
}
