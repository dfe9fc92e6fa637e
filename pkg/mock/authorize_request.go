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
	device       *device // the device that polls for the answer; nil for a browser flow
	issuer       string
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
	req, bad := t.requestClient(p)
	if bad != nil {
		return nil, bad
	}
	req.issuer = c.issuer
	req.state, req.hasState = p.Get("state"), p.Has("state")
	if noType != nil {
		return req, noType
	}
	req.responseType = types
	if req.mode, bad = responseMode(p.Get("response_mode"), types); bad != nil {
		return req, bad
	}
	if req.client.RequirePAR && !wasPushed {
		return req, refuse("invalid_request", "Pushed Authorization Requests are required by the configured compliance level")
	}
	for _, check := range []func(*authRequest, parameters) *oauthError{
		t.checkGrants, t.checkUnsupported, t.checkPKCE, t.checkAudience, t.checkOrganization, checkPrompt, checkJKT,
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
func (t *Tenant) requestClient(p parameters) (*authRequest, *oauthError) {
	id := p.Get("client_id")
	if id == "" {
		return nil, missing("client_id")
	}
	client := t.st.clients[id]
	if client == nil {
		return nil, refuse("invalid_request", "Unknown client: "+clip(id))
	}
	req := &authRequest{client: client, mode: "query", redirectURI: p.Get("redirect_uri"), sentRedirect: p.Get("redirect_uri") != ""}
	switch {
	case !req.sentRedirect && len(client.Callbacks) == 0:
		return nil, missing("redirect_uri")
	case !req.sentRedirect:
		req.redirectURI = client.Callbacks[0]
	case !allowsCallback(client, req.redirectURI):
		return nil, refuse("unauthorized_client", fmt.Sprintf(
			"Callback URL mismatch. %s is not in the list of allowed callback URLs", clip(req.redirectURI)))
	}
	return req, nil
}

// allowsCallback compares exactly. One * may replace a subdomain label, as in
// Auth0's "Allowed Callback URLs".
func allowsCallback(c *tenant.Client, uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || u.Fragment != "" || strings.ContainsAny(uri, "\r\n\t ") {
		return false
	}
	return slices.ContainsFunc(c.Callbacks, func(allowed string) bool {
		return allowed == uri && !strings.Contains(allowed, "://*.") || matchesSubdomain(allowed, uri)
	})
}

func matchesSubdomain(pattern, uri string) bool {
	before, after, found := strings.Cut(pattern, "://*.")
	if !found || !strings.HasPrefix(uri, before+"://") {
		return false
	}
	label, rest, found := strings.Cut(uri[len(before)+3:], ".")
	return found && rest == after && label != "" && !strings.ContainsAny(label, "/?#@:\\*")
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
			return notAllowed(need)
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
				return refuse("invalid_request", "The parameter "+name+" is not allowed for third-party clients")
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
	aud := p.Get("audience")
	if aud == "" {
		aud = p.Get("resource")
	}
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	api := t.st.apis[aud]
	switch {
	case aud == "" || api == nil && aud == req.issuer+"userinfo":
		return nil
	case api == nil:
		return refuse("access_denied", "Service not found: "+clip(aud))
	}
	req.audience = aud
	_, granted := t.st.grants[grantKey(req.client.ClientID, aud, "user")]
	if policy := api.UserPolicy(); policy == "deny_all" || policy == "require_client_grant" && !granted {
		return refuse("invalid_request", fmt.Sprintf(
			`Client "%s" is not authorized to access resource server "%s".`, req.client.ClientID, aud))
	}
	return nil
}

func (t *Tenant) checkOrganization(req *authRequest, p parameters) *oauthError {
	name := p.Get("organization")
	if name == "" {
		if req.client.OrganizationUsage == "require" {
			return refuse("invalid_request", "parameter organization is required for this client")
		}
		return nil
	}
	org := t.st.organization(name)
	if org == nil {
		return refuse("invalid_request", "parameter organization is invalid: "+clip(name))
	}
	if req.client.OrganizationUsage == "" || req.client.OrganizationUsage == "deny" {
		return refuse("invalid_request", "parameter organization is not allowed for this client")
	}
	req.organization = org.ID
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
