package management

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// State is the tenant's objects as JSON documents, by kind and id, each kind in the
// order in which its objects were added. The caller of [API.Do] holds the lock that
// guards it.
type State interface {
	IDs(kind string) []string
	// Read returns a document, which the API does not change.
	Read(kind, id string) (json.RawMessage, bool)
	// Write adds or replaces a document. An error says what the tenant does not accept.
	Write(kind, id string, doc json.RawMessage) error
	// Remove deletes a document and ends what it is, such as a session.
	Remove(kind, id string)
	// RotateKey makes a new signing key and signs with it.
	RotateKey() error
	// Send delivers a message to a user, as a tenant sends e-mails.
	Send(m Message)
}

// Message is an e-mail that the tenant would send.
type Message struct {
	Kind string // verification_email, reset_password, invitation
	To   string
	Link string
}

// The kinds of documents of which the tenant makes objects of its own, or which it
// makes of them.
const (
	KindClient       = "client"
	KindCredential   = "client_credential"
	KindAPI          = "resource_server"
	KindGrant        = "client_grant"
	KindRole         = "role"
	KindUser         = "user"
	KindConnection   = "connection"
	KindOrganization = "organization"
	KindTenant       = "tenant"
	KindSession      = "session"
	KindRefreshToken = "refresh_token"
	KindSigningKey   = "signing_key"
	KindLog          = "log"
	KindBlock        = "user_block"
	KindConsent      = "grant"
	KindInvitation   = "invitation"
	KindTicket       = "ticket"
)

// Stored reports whether the tenant makes nothing of the documents of a kind, and keeps
// them as they are: those that [State] has no object for, without those that end by
// themselves (tickets, invitations, jobs).
func Stored(kind string) bool {
	return slices.Contains([]string{
		KindCredential, kindAction, kindVersion, kindBindings, kindModule, kindModVer, kindSCIM, kindSCIMToken, kindDirectory, kindGroup,
		kindDiscoveryDomain, kindConnectionKeys, kindFactor, kindRule, kindBranding, kindPrompts,
	}, kind)
}

// TenantID is the id of the one document of [KindTenant].
const TenantID = "settings"

// Request is an authenticated request to the API.
type Request struct {
	Method    string
	Path      string // escaped, below /api/v2
	Query     url.Values
	Body      []byte
	MediaType string // of Body
	Issuer    string // with a trailing slash
	Subject   string // of the access token
	Scopes    []string
	Now       time.Time
	Rand      io.Reader
	State     State
}

// Answer is the API's answer.
type Answer struct {
	Status int
	Body   []byte // JSON; nil: none
	Link   string // header of a page of a list
	Reason string // of a refusal, for the journal
}

// API is the Management API. It has no state: one value serves any number of tenants.
type API struct {
	schema *schema
	routes *node
	scopes []string
}

// New returns the API.
func New() (*API, error) {
	s, err := loadSchema()
	if err != nil {
		return nil, err
	}
	a := &API{schema: s}
	table := a.table()
	a.routes = newRoutes(table)
	for _, r := range table {
		a.scopes = append(append(a.scopes, s.Endpoints[r.name()].Scope...), r.scopes...)
	}
	slices.Sort(a.scopes)
	a.scopes = slices.Compact(a.scopes)
	return a, nil
}

// Do answers a request.
func (a *API) Do(r Request) Answer {
	route, params := a.routes.find(r.Method, r.Path)
	if route == nil {
		return refusal(errNotFound)
	}
	c := &call{Request: r, api: a, params: params, endpoint: a.schema.Endpoints[route.name()]}
	c.endpoint.Scope = append(slices.Clip(c.endpoint.Scope), route.scopes...)
	answer, err := c.handle(route)
	if err != nil {
		return refusal(err)
	}
	return answer
}

// handle checks scopes, query and body, and calls the handler.
func (c *call) handle(r *route) (Answer, error) {
	if err := c.checkScope(); err != nil {
		return Answer{}, err
	}
	if err := c.checkQuery(); err != nil {
		return Answer{}, err
	}
	if r.method != http.MethodGet {
		if err := c.readBody(); err != nil {
			return Answer{}, err
		}
	}
	return r.handle(c)
}

// Endpoints returns the method and path of every endpoint, sorted.
func (a *API) Endpoints() []string {
	var out []string
	for _, r := range a.table() {
		out = append(out, r.name())
	}
	slices.Sort(out)
	return out
}

// Endpoint returns the one that a request with an escaped path is for.
func (a *API) Endpoint(method, path string) (name string, found bool) {
	r, _ := a.routes.find(method, path)
	if r == nil {
		return "", false
	}
	return r.name(), true
}

// Scopes returns every scope of the API, sorted.
func (a *API) Scopes() []string { return a.scopes }
