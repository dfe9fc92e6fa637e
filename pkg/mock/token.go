package mock

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// tokenRequest is a parsed POST /oauth/token: its parameters and the client's
// credentials.
type tokenRequest struct {
	parameters
	basicID     string
	basicSecret string
	basic       bool
	proof       *proof // nil without a DPoP header
}

// grantHandler handles one grant_type for an authenticated client. The caller holds
// t.mu and releases it before it calls the returned function, which writes the
// response.
type grantHandler func(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError)

// grantHandler returns the handler of a grant_type, or nil.
func (t *Tenant) grantHandler(grantType string) grantHandler {
	switch grantType {
	case tenant.GrantAuthorizationCode:
		return t.exchangeCode
	case tenant.GrantRefreshToken:
		return t.exchangeRefresh
	case tenant.GrantClientCredentials:
		return t.clientCredentials
	case tenant.GrantPassword, tenant.GrantPasswordRealm:
		return t.password
	case tenant.GrantMFAOTP:
		return t.mfaGrant(t.checkOTP)
	case tenant.GrantMFAOOB:
		return t.mfaGrant(t.checkOOB)
	case tenant.GrantMFARecoveryCode:
		return t.mfaGrant(t.checkRecoveryCode)
	case tenant.GrantPasswordlessOTP:
		return t.passwordlessOTP
	case tenant.GrantDeviceCode:
		return t.pollDevice
	case tenant.GrantTokenExchange:
		return t.tokenExchange
	}
	return nil
}

// absentGrants are grant types of Auth0 that the mock does not have. It refuses them
// as a tenant whose clients may not use them, even if grant_types has them.
var absentGrants = []string{
	"urn:openid:params:grant-type:ciba",
	"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token",
	"urn:ietf:params:oauth:grant-type:jwt-bearer",
}

// token is POST /oauth/token. It authenticates the client before it consumes a code,
// so that a client which tries another authentication method first can use the code.
func (t *Tenant) token(c *call) {
	r, bad := c.tokenRequest()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	c.entry.Grant = clip(r.Get("grant_type"))
	c.setLimit(tokenLimit(c.entry.Grant))
	p, proofErr := c.readProof("") // verifies a signature, so it runs without the lock
	r.proof = p
	t.mu.Lock()
	t.offerNonce(c)
	next, bad := t.dispatch(c, r, proofErr)
	t.mu.Unlock()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	next()
}

// tokenLimit is the recorded rate limit of a grant_type.
func tokenLimit(grantType string) int {
	if grantType == tenant.GrantClientCredentials {
		return 30
	}
	return 100
}

// dispatch authenticates the client and calls the handler of the grant type. A proof
// that is not valid is refused before, so that a code is not consumed.
func (t *Tenant) dispatch(c *call, r tokenRequest, proofErr *oauthError) (func(), *oauthError) {
	client, bad := t.authenticateClient(c, r)
	if bad != nil {
		return nil, bad
	}
	grantType := r.Get("grant_type")
	if grantType == "" {
		return nil, missing("grant_type")
	}
	handle := t.grantHandler(grantType)
	if handle == nil && slices.Contains(absentGrants, grantType) {
		return nil, notAllowed(grantType).withReason("the mock does not have this grant")
	}
	if handle == nil {
		return nil, refuse("unsupported_grant_type", "Unsupported grant type: "+clip(grantType))
	}
	if !client.AllowsGrant(grantType) {
		return nil, notAllowed(grantType).withHint("%s", orHas(addTo("grant_types", grantType, client), client.GrantTypes))
	}
	if proofErr != nil {
		return nil, proofErr
	}
	if bad := t.acceptProof(c, client, r.proof); bad != nil {
		return nil, bad
	}
	return handle(c, client, r)
}

// refuseToken writes an error, in the strict profile with the statuses of RFC 6749.
func (t *Tenant) refuseToken(c *call, e *oauthError) {
	reason := e.Reason
	if reason == "" {
		reason = e.Description
	}
	c.setReason(e.Code + ": " + reason)
	c.entry.Hint = e.Hint
	if t.cfg.Profile == ProfileStrictOIDC {
		e = strict(e)
		if e.Status == http.StatusUnauthorized && c.r.Header.Get("Authorization") != "" { // RFC 6749 section 5.2
			c.w.Header().Set("WWW-Authenticate", `Basic realm="oauth"`)
		}
	}
	writeTokenError(c.w, e)
}

// strict returns the error with the status and code of RFC 6749 section 5.2.
func strict(e *oauthError) *oauthError {
	s := *e
	switch {
	case e.Status == http.StatusUnauthorized:
		s.Code = "invalid_client"
	case e.Status == http.StatusForbidden || e.Status == http.StatusNotImplemented || e.Code == "slow_down":
		s.Status = http.StatusBadRequest
	}
	return &s
}

// tokenRequest reads a form or JSON body and the Authorization header. It ignores a
// body of another type.
func (c *call) tokenRequest() (tokenRequest, *oauthError) {
	r := tokenRequest{parameters: parameters{url.Values{}}}
	var bad *oauthError
	switch c.mediaType() {
	case "application/x-www-form-urlencoded":
		r.Values, bad = c.form()
	case "application/json":
		r.Values, bad = c.jsonForm()
	default:
		_, bad = c.body()
	}
	if bad != nil {
		return r, bad
	}
	for k, vals := range r.Values {
		if len(vals) > 1 {
			return r, refuse("invalid_request", "Parameter "+clip(k)+" was sent more than once")
		}
	}
	r.basicID, r.basicSecret, r.basic = c.r.BasicAuth()
	if r.basic { // RFC 6749 section 2.3.1: form-encoded before base64
		r.basicID, r.basicSecret = formDecoded(r.basicID), formDecoded(r.basicSecret)
	}
	return r, nil
}

func formDecoded(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// jsonForm reads a flat JSON object as parameters; numbers and booleans as
// their text, as Node would use them.
func (c *call) jsonForm() (url.Values, *oauthError) {
	body, bad := c.body()
	if bad != nil {
		return nil, bad
	}
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, refuse("invalid_request", "The body is not a JSON object").withReason("malformed JSON body")
	}
	v := url.Values{}
	for k, val := range o {
		switch val := val.(type) {
		case string:
			v.Set(k, val)
		case float64, bool:
			v.Set(k, fmt.Sprint(val))
		case nil:
		default:
			return nil, refuse("invalid_request", "Parameter "+clip(k)+" must be a string")
		}
	}
	return v, nil
}

// authenticateClient finds the client and checks what it presents against its
// registered method. post and basic are one method to Auth0: the secret.
func (t *Tenant) authenticateClient(c *call, r tokenRequest) (*tenant.Client, *oauthError) {
	id := r.Get("client_id")
	if r.basic {
		if id != "" && id != r.basicID {
			return nil, unauthorized("client_id differs between header and body")
		}
		id = r.basicID
	}
	assertion := r.Get("client_assertion")
	if id == "" && assertion != "" {
		id = assertionSubject(assertion)
	}
	c.entry.ClientID = clip(id)
	client := t.st.clients[id]
	if client == nil {
		c.entry.ClientID = ""
		return nil, unauthorized("unknown client").withHint("%s", t.unknownClient(id))
	}
	presented := r.Get("client_secret")
	if r.basic {
		if presented != "" && presented != r.basicSecret {
			return nil, unauthorized("two different secrets")
		}
		presented = r.basicSecret
	}
	return client, t.checkCredentials(c, client, presented, r)
}

func (t *Tenant) checkCredentials(c *call, client *tenant.Client, secret string, r tokenRequest) *oauthError {
	assertion := r.Get("client_assertion")
	switch client.TokenEndpointAuthMethod {
	case "none":
		if secret != "" || assertion != "" {
			return unauthorized("a public client sent a credential").
				withHint("client %s is public (token_endpoint_auth_method none): send its client_id only", client.ClientID)
		}
	case "private_key_jwt":
		if secret != "" || assertion == "" {
			return unauthorized("the client must send a client_assertion").
				withHint("token_endpoint_auth_method of client %s is private_key_jwt: send client_assertion and no secret", client.ClientID)
		}
		return t.checkAssertion(c, client, r.Get("client_assertion_type"), assertion)
	default:
		if assertion != "" {
			return unauthorized("the client must send its secret, not an assertion").
				withHint("token_endpoint_auth_method of client %s is %s", client.ClientID, client.TokenEndpointAuthMethod)
		}
		if secret == "" {
			return unauthorized("no client_secret").
				withHint("client %s is confidential: send its client_secret in the body or in an Authorization header", client.ClientID)
		}
		if client.ClientSecret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(client.ClientSecret)) != 1 {
			return unauthorized("wrong client_secret").withHint("GET /_mock/clients shows the client_secret of client %s", client.ClientID)
		}
	}
	return nil
}

// respond mints the tokens of an issuance and writes the response.
func (t *Tenant) respond(c *call, o issuance, body func(access, id string) object) {
	access, err := t.accessToken(o)
	id := ""
	if err == nil && o.user != nil && o.g.has("openid") {
		id, err = t.idToken(o, "", "")
	}
	if err != nil {
		t.refuseToken(c, refuse("server_error", "the token could not be signed").withReason(err.Error()))
		return
	}
	t.keepProfile(access, o)
	t.remember(c, o, access, id)
	answer := o.damage.answer(body(access, id))
	if t.cfg.TokenBody == TokenBodyDocumented {
		answer = slices.DeleteFunc(answer, func(m member) bool { return m.name == "scope" || m.name == "expires_in" })
	}
	writeToken(c.w, append(answer, c.extra...))
}

// tokenBody returns the body of a success in the recorded order:
// access_token, refresh_token, id_token, scope, expires_in, token_type.
func (o issuance) tokenBody(access, refresh, id string, withScope bool) object {
	b := object{{"access_token", access}}
	b.add("refresh_token", refresh)
	b.add("id_token", id)
	switch scope := strings.Join(o.g.scopes, " "); {
	case o.g.narrowed: // RFC 6749 section 5.1: without scope, the client may assume that it got all of them
		b = append(b, member{"scope", scope})
	case withScope:
		b.add("scope", scope)
	}
	return append(b, member{"expires_in", int(o.lifetime().Seconds())}, member{"token_type", o.g.tokenType()})
}
