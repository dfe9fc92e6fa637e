package mock

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// authRequest is an authorization request with a valid redirectURI.
type authRequest struct {
	client       *tenant.Client
	redirectURI  string
	sentRedirect bool // the request had a redirect_uri, so the token request needs it too
	responseType []string
	mode         string // query, fragment, form_post, web_message
	state        string
	hasState     bool
	scopes       []string // as asked for
	audience     string   // identifier of a known API; "" is /userinfo alone
	nonce        string
	challenge    string
	method       string // S256, plain
	jkt          string // dpop_jkt
	prompt       []string
	maxAge       int // seconds; -1: not asked for
	loginHint    string
	screenHint   string
	organization string  // id
	asksFor      string  // organization_require_behavior, when the user has to choose the organization
	invitation   string  // ticket
	connection   string  // name; "": any that the client may use
	hintedUser   string  // user_id of the id_token_hint
	device       *device // the device that polls for the answer; nil for a browser flow
	issuer       string
	nameIssuer   bool // the answer has the parameter iss
}

// parameters are the parameters of an authorization request. A parameter may
// occur once (RFC 6749 section 3.1).
type parameters struct{ url.Values }

func (c *call) authorizeParameters() (parameters, *oauthError) {
	v, err := parseForm(c.r.URL.RawQuery)
	if err != nil {
		return parameters{}, refuse("invalid_request", "The query is not form-urlencoded")
	}
	if c.r.Method == http.MethodPost {
		form, bad := c.form()
		if bad != nil {
			return parameters{}, bad
		}
		for k, vals := range form {
			v[k] = append(v[k], vals...)
		}
	}
	for k, vals := range v {
		if len(vals) > 1 {
			return parameters{}, refuse("invalid_request", "Parameter "+clip(k)+" was sent more than once")
		}
	}
	return parameters{v}, nil
}

// clip shortens a value of a request for an error text.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

var responseTypes = []string{
	"code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token",
}

// parseAuthorize checks a request. If it returns a nil request, the error belongs
// on the error page; otherwise the redirect_uri is valid and gets the error.
func (t *Tenant) parseAuthorize(c *call, p parameters, wasPushed bool) (*authRequest, *oauthError) {
	types, noType := parseResponseType(p)
	if noType != nil && t.cfg.Profile == ProfileAuth0 {
		return nil, noType // Auth0 checks this before it loads the client, so it shows the error page
	}
	req, bad := t.requestClient(c, p)
	if bad != nil {
		return nil, bad
	}
	req.issuer, req.nameIssuer = c.issuer, t.st.settings.ResponseIssuer
	req.state, req.hasState = p.Get("state"), p.Has("state")
	if noType != nil {
		return req, noType
	}
	req.responseType = types
	if req.mode, bad = responseMode(p.Get("response_mode"), types); bad != nil {
		return req, bad
	}
	if req.client.RequirePAR && !wasPushed {
		return req, refuse("invalid_request", "The client must push its authorization requests to /oauth/par").
			withHint("require_pushed_authorization_requests of client %s is true", req.client.ClientID)
	}
	for _, check := range []func(*authRequest, parameters) *oauthError{
		checkPrompt, checkWebMessage, t.checkGrants, t.checkUnsupported, t.checkPKCE, t.checkAudience,
		t.checkOrganization, t.checkInvitation, t.checkConnection, t.checkIDTokenHint, checkJKT,
	} {
		if bad := check(req, p); bad != nil {
			return req, bad
		}
	}
	req.loginHint, req.screenHint = p.Get("login_hint"), p.Get("screen_hint")
	return req, nil
}

func parseResponseType(p parameters) ([]string, *oauthError) {
	raw := p.Get("response_type")
	if raw == "" {
		return nil, missing("response_type")
	}
	types := strings.Fields(raw)
	slices.Sort(types) // their order has no meaning; sorted: code, id_token, token
	for _, known := range responseTypes {
		words := strings.Fields(known)
		slices.Sort(words)
		if slices.Equal(words, types) {
			return types, nil
		}
	}
	return nil, refuse("unsupported_response_type", "Unsupported response type: "+clip(raw))
}

// requestClient returns the client and a valid redirect_uri. Without both,
// nothing may be redirected.
func (t *Tenant) requestClient(c *call, p parameters) (*authRequest, *oauthError) {
	id := p.Get("client_id")
	if id == "" {
		return nil, missing("client_id")
	}
	client := t.st.clients[id]
	if client == nil {
		return nil, refuse("invalid_request", "Unknown client: "+clip(id)).withHint("%s", t.unknownClient(id))
	}
	req := &authRequest{client: client, mode: "query", redirectURI: p.Get("redirect_uri"), sentRedirect: p.Get("redirect_uri") != ""}
	switch {
	case !req.sentRedirect && firstWhole(client.Callbacks) == "":
		return nil, missing("redirect_uri")
	case !req.sentRedirect:
		req.redirectURI = firstWhole(client.Callbacks)
	case req.redirectURI == c.url(callbackPath): // of the console's own links
	case !allowsCallback(client, req.redirectURI, t.nameOfOrganization(p)):
		return nil, refuse("unauthorized_client", fmt.Sprintf(
			"Callback URL mismatch. %s is not in the list of allowed callback URLs", clip(req.redirectURI))).
			withHint("%s", orHas(addTo("callbacks", req.redirectURI, client), client.Callbacks))
	}
	return req, nil
}

// firstWhole returns the first URL of a list if it has no placeholder, or "".
func firstWhole(list []string) string {
	if len(list) == 0 {
		return ""
	}
	if p, err := tenant.ParsePattern(list[0]); err != nil || !p.Whole() {
		return ""
	}
	return list[0]
}

// nameOfOrganization returns the name of the organization that a request names, or "".
func (t *Tenant) nameOfOrganization(p parameters) string {
	if o := t.st.requestedOrganization(p.Get("organization")); o != nil {
		return o.Name
	}
	return ""
}

func responseMode(asked string, types []string) (string, *oauthError) {
	frontChannel := len(types) > 1 || types[0] != "code"
	normal := "query"
	if frontChannel {
		normal = "fragment"
	}
	switch asked {
	case "":
		return normal, nil
	case "query":
		if frontChannel { // OAuth 2.0 Multiple Response Types, section 5: tokens never in a query
			return normal, refuse("invalid_request", "response_mode query is not allowed for this response_type")
		}
		return asked, nil
	case "fragment", "form_post", "web_message":
		return asked, nil
	}
	return normal, refuse("invalid_request", "Unsupported response mode: "+clip(asked))
}

func (t *Tenant) checkGrants(req *authRequest, p parameters) *oauthError {
	for _, rt := range req.responseType {
		need := tenant.GrantImplicit
		if rt == "code" {
			need = tenant.GrantAuthorizationCode
		}
		if !slices.Contains(req.client.GrantTypes, need) {
			return notAllowed(need).withHint("%s", orHas(addTo("grant_types", need, req.client), req.client.GrantTypes))
		}
	}
	if slices.Contains(req.responseType, "id_token") && p.Get("nonce") == "" {
		return missing("nonce") // OpenID Connect Core, section 3.2.2.1
	}
	return nil
}

func notAllowed(grant string) *oauthError {
	return refuse("unauthorized_client", fmt.Sprintf("Grant type '%s' not allowed for the client.", grant))
}

// checkUnsupported rejects parameters that discovery lists as not supported.
func (t *Tenant) checkUnsupported(req *authRequest, p parameters) *oauthError {
	if req.client.ThirdParty() {
		for _, name := range notForThirdParties {
			if p.Has(name) {
				bad := refuse("invalid_request", "The parameter "+name+" is not allowed for third-party clients")
				bad.Page = protectsRedirects(req.client)
				return bad
			}
		}
	}
	switch {
	case p.Has("request"):
		return refuse("request_not_supported", "The request parameter is not supported")
	case p.Has("request_uri"):
		return refuse("request_uri_not_supported", "The request_uri parameter is not supported")
	}
	return nil
}

// notForThirdParties are the parameters that Auth0 refuses from third-party clients
// (https://auth0.com/docs/get-started/applications/third-party-applications/security-controls).
var notForThirdParties = []string{"screen_hint", "invitation", "request", "request_uri", "claims", "id_token_hint", "login_ticket"}

func (t *Tenant) checkPKCE(req *authRequest, p parameters) *oauthError {
	req.challenge, req.method, req.nonce = p.Get("code_challenge"), p.Get("code_challenge_method"), p.Get("nonce")
	switch {
	case req.challenge == "" && req.method != "":
		return missing("code_challenge")
	case req.challenge == "":
		return nil
	case req.method == "":
		req.method = "plain" // RFC 7636 section 4.3
	case req.method != "S256" && req.method != "plain":
		return refuse("invalid_request", "Unsupported code_challenge_method: "+clip(req.method))
	}
	if len(req.challenge) < 43 || len(req.challenge) > 128 || strings.ContainsFunc(req.challenge, notUnreserved) {
		return refuse("invalid_request", "code_challenge must be 43 to 128 unreserved characters")
	}
	return nil
}

// notUnreserved reports whether RFC 7636 excludes a character from code verifiers.
func notUnreserved(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", r)
}

func (t *Tenant) checkAudience(req *authRequest, p parameters) *oauthError {
	req.scopes = uniqueFields(p.Get("scope"))
	aud := t.requestedAPI(p)
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	api := t.api(req.issuer, aud)
	switch {
	case aud == "" || api == nil && aud == req.issuer+"userinfo":
		return nil
	case api == nil:
		return refuse("access_denied", "Service not found: "+clip(aud)).withHint("%s", t.unknownAPI(aud))
	}
	req.audience = aud
	_, granted := t.st.grants[grantKey(req.client.ClientID, grantAudience(api), "user")]
	if policy := api.UserPolicy(); policy == "deny_all" || policy == "require_client_grant" && !granted {
		return refuse("invalid_request", fmt.Sprintf(
			`Client "%s" is not authorized to access resource server "%s".`, req.client.ClientID, aud))
	}
	return nil
}

// requestedAPI returns the API that a request names: by audience, or by resource (RFC
// 8707) unless the tenant keeps that for upstream providers
// (https://auth0.com/docs/get-started/tenant-settings).
func (t *Tenant) requestedAPI(p parameters) string {
	if aud := p.Get("audience"); aud != "" || t.st.settings.ResourceProfile == "audience" {
		return aud
	}
	return p.Get("resource")
}

// checkWebMessage protects the answer to a frame: only an Allowed Web Origin gets it.
// That Auth0 checks a popup as well, which has no prompt=none, is not documented.
func checkWebMessage(req *authRequest, _ parameters) *oauthError {
	if req.mode == "web_message" && req.asks("none") && !allowsWebMessage(req.client, req.redirectURI) {
		return refuse("invalid_request", "The specified redirect_uri '"+clip(req.redirectURI)+"' does not have a registered origin.").onPage().
			withHint("%s", addTo("web_origins", originOf(req.redirectURI), req.client))
	}
	return nil
}

func checkPrompt(req *authRequest, p parameters) *oauthError {
	req.prompt, req.maxAge = strings.Fields(p.Get("prompt")), -1
	for _, v := range req.prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, v) {
			return refuse("invalid_request", "Unsupported prompt: "+clip(v))
		}
		if v == "none" && len(req.prompt) > 1 {
			return refuse("invalid_request", "prompt none cannot be combined with others")
		}
	}
	if raw := p.Get("max_age"); raw != "" {
		n, err := strconv.Atoi(raw)
		if err != nil || n < 0 {
			return refuse("invalid_request", "max_age must be a number of seconds: "+clip(raw))
		}
		req.maxAge = n
	}
	return nil
}

// checkJKT reads dpop_jkt, the thumbprint of the key that will exchange the code
// (RFC 9449 section 10).
func checkJKT(req *authRequest, p parameters) *oauthError {
	req.jkt = p.Get("dpop_jkt")
	if req.jkt != "" && !isThumbprint(req.jkt) {
		return refuse("invalid_request", "dpop_jkt is not the SHA-256 thumbprint of a key")
	}
	return nil
}

// checkIDTokenHint reads the user of an id_token_hint, who has to be the one that logs in
// (OpenID Connect Core, section 3.1.2.1). What Auth0 does with the parameter is not
// documented, so its profile ignores it.
func (t *Tenant) checkIDTokenHint(req *authRequest, p parameters) *oauthError {
	hint := p.Get("id_token_hint")
	if hint == "" || t.cfg.Profile != ProfileStrictOIDC {
		return nil
	}
	claims, ok := t.openJWT(hint) // an expired token is fine
	iss, _ := claims["iss"].(string)
	sub, _ := claims["sub"].(string)
	if !ok || sub == "" || iss != req.issuer {
		return refuse("invalid_request", "The id_token_hint is invalid")
	}
	req.hintedUser = sub
	return nil
}

// asks reports whether a value is among prompt.
func (r *authRequest) asks(prompt string) bool { return slices.Contains(r.prompt, prompt) }

// wants reports whether a value is among response_type.
func (r *authRequest) wants(kind string) bool { return slices.Contains(r.responseType, kind) }

// uniqueFields splits a scope value and drops repetitions.
func uniqueFields(s string) []string {
	var out []string
	for f := range strings.FieldsSeq(s) {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
