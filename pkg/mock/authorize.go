package mock

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// code is an authorization code that was issued; kept by its hash.
type code struct {
	grant        grant
	redirectURI  string
	sentRedirect bool
	challenge    string
	method       string
	jkt          string // dpop_jkt: the only key that may exchange it
	expires      time.Time
	used         bool
	usedAt       time.Time
	usedBy       string // journal id
	reused       bool
	accessToken  string // hash of the access token that it was exchanged for, once that is signed
	family       string // id of the refresh-token family that it was exchanged for
	entry        string // journal id of the /authorize call
}

// authorize is GET and POST /authorize
// (https://auth0.com/docs/api/authentication/authorization-code-flow/authorize-application).
func (t *Tenant) authorize(c *call) {
	p, bad := c.authorizeParameters()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	p, wasPushed, bad := t.popPushed(p, c.now)
	var req *authRequest
	if bad == nil {
		req, bad = t.parseAuthorize(c, p, wasPushed)
	}
	var next func()
	switch {
	case req == nil:
		next = func() { t.errorPage(c, p.Values, bad) }
	case bad != nil:
		next = func() { t.refuseAuthorize(c, req, bad) }
	default:
		tx := &transaction{req: req, created: c.now, entry: c.id}
		next = t.advance(c, tx, t.browser(c))
	}
	t.mu.Unlock()
	c.entry.ClientID = clip(p.Get("client_id"))
	next()
}

// resume is /authorize/resume, to which the pages redirect.
func (t *Tenant) resume(c *call) {
	t.mu.Lock()
	tx, s := t.transactionOf(c, c.query().Get("state"))
	if tx == nil || tx.logout {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	next := t.advance(c, tx, s)
	t.mu.Unlock()
	c.entry.ClientID = tx.req.client.ClientID
	next()
}

// advance continues a transaction until it needs the user or is complete, and
// returns the function that writes the response. The caller holds t.mu and
// releases it before it calls that function.
func (t *Tenant) advance(c *call, tx *transaction, s *session) func() {
	req := tx.req
	if t.needsLogin(c, tx, s) {
		if req.asks("none") {
			return t.refusal(c, req, refuse("login_required", "Login required").withHint("%s", t.sessionHint(c, s)))
		}
		if bad := t.hasConnection(req); bad != nil {
			return t.refusal(c, req, bad)
		}
		if s == nil {
			s = t.newBrowser(c)
		}
		person := t.person(c, req, s)
		if t.loginMode(req.client) == LoginForm || person == nil {
			return t.page(c, tx, s, t.firstPage(req))
		}
		t.logIn(c, s, person)
		tx.loggedIn = true
	}
	u := t.st.users[s.user]
	path, bad := t.chooseOrganization(tx, u)
	if bad == nil && path == "" {
		bad = t.eligible(c, tx, u)
	}
	switch {
	case bad != nil:
		delete(t.st.logins, tx.state)
		return t.refusal(c, req, bad)
	case path != "" && req.asks("none"):
		return t.refusal(c, req, refuse("interaction_required", "The user has to choose an organization"))
	case path != "":
		return t.page(c, tx, s, path)
	}
	u = t.st.users[s.user] // an invitation may have changed them
	if bad := t.interactionRequired(req.client.ClientID); bad != nil && req.asks("none") {
		return t.refusal(c, req, bad)
	}
	switch missing := t.needsConsent(tx, u); {
	case tx.declined:
		delete(t.st.logins, tx.state)
		return t.refusal(c, req, refuse("access_denied", "User did not authorize the request"))
	case missing && req.asks("none"):
		return t.refusal(c, req, refuse("consent_required", "Consent required").
			withHint("log in once without prompt=none, or POST /_mock/consents; a callback on localhost always needs consent"))
	case missing && t.loginMode(req.client) == LoginForm:
		return t.page(c, tx, s, "/u/consent")
	}
	t.keepConsent(t.consentKey(req, u), c.now)
	delete(t.st.logins, tx.state)
	return t.grantAuthorization(c, tx, s, u)
}

// loginMode returns the client's login mode, or else the tenant's.
func (t *Tenant) loginMode(client *tenant.Client) LoginMode {
	if client.Login != "" {
		return LoginMode(client.Login)
	}
	return t.st.login
}

// firstPage returns the page for a browser without a session.
func (t *Tenant) firstPage(req *authRequest) string {
	switch {
	case req.asksFor == preLoginPrompt && req.organization == "":
		return "/u/organization"
	case req.screenHint == "signup" && t.signupAllowed(req):
		return "/u/signup"
	}
	return "/u/login"
}

// person returns the user to log in with [LoginAuto]: the one of [Tenant.Approve],
// the id_token_hint's, the login_hint's, the session's, or else the first.
func (t *Tenant) person(c *call, req *authRequest, s *session) *tenant.User {
	if p, played := c.r.Context().Value(personKey{}).(*person); played && p.login != "" {
		return t.st.userByLogin(p.login)
	}
	for _, login := range []string{req.hintedUser, req.loginHint} {
		if u := t.st.userByLogin(login); u != nil && t.mayUse(req, u) {
			return u
		}
	}
	if u := t.st.users[s.user]; u != nil && !req.asks("select_account") && t.mayUse(req, u) {
		return u
	}
	for _, id := range t.st.userOrder {
		if u := t.st.users[id]; u != nil && t.mayUse(req, u) {
			return u
		}
	}
	return nil
}

func (t *Tenant) needsLogin(c *call, tx *transaction, s *session) bool {
	req := tx.req
	switch {
	case s == nil || s.user == "" || t.st.users[s.user] == nil:
		return true
	case tx.loggedIn:
		return false
	case req.hintedUser != "" && s.user != req.hintedUser:
		return true
	case req.asks("login") || req.asks("select_account"):
		return true
	}
	return req.maxAge >= 0 && c.now.Sub(s.authTime) >= time.Duration(req.maxAge)*time.Second
}

// eligible returns the error of a user who may not log in. Membership counts before
// Actions run.
func (t *Tenant) eligible(c *call, tx *transaction, u *tenant.User) *oauthError {
	req := tx.req
	if u.Blocked {
		return refuse("unauthorized", "user is blocked").withHint("%s", blockedHint(u))
	}
	if req.hintedUser != "" && u.UserID != req.hintedUser { // OpenID Connect Core, section 3.1.2.2
		return refuse("login_required", "Login required").withReason("another user than that of id_token_hint logged in")
	}
	if bad := t.acceptInvitation(c, tx, u); bad != nil {
		return bad
	}
	if bad := t.isMember(req, u); bad != nil {
		return bad
	}
	return t.denied(tenant.TriggerPostLogin, req.client.ClientID)
}

// needsConsent reports whether to ask for consent. Consent that was given before
// counts for the same user, client, API and scope. A first-party client needs none
// if the API allows that, except with a callback on localhost
// (https://auth0.com/docs/get-started/applications/confidential-and-public-applications/user-consent-and-third-party-applications).
func (t *Tenant) needsConsent(tx *transaction, u *tenant.User) bool {
	req := tx.req
	switch {
	case tx.consented:
		return false
	case req.asks("consent"):
		return true
	case t.hasConsent(t.consentKey(req, u)):
		return false
	}
	api := t.api(req.issuer, req.audience)
	skip := api == nil || api.SkipConsent
	return !skip || req.client.ThirdParty() || isLoopbackURL(req.redirectURI)
}

func (t *Tenant) consentKey(req *authRequest, u *tenant.User) string {
	scopes := slices.Sorted(slices.Values(req.scopes))
	return strings.Join([]string{u.UserID, req.client.ClientID, req.audience, strings.Join(scopes, " ")}, "\x00")
}

// keepConsent stores that consent was given.
func (t *Tenant) keepConsent(key string, now time.Time) {
	if !t.hasConsent(key) {
		makeRoom(&t.st.room, t.st.consents, func(time.Time) bool { return false }, itself)
	}
	t.st.consents[key] = now
}

func (t *Tenant) hasConsent(key string) bool { return !t.st.consents[key].IsZero() }

func isLoopbackURL(raw string) bool {
	host := originOf(raw)
	for _, h := range []string{"://localhost", "://127.", "://[::1]"} {
		if strings.Contains(host, h) {
			return true
		}
	}
	return false
}

// page sends the browser to one of the tenant's pages.
func (t *Tenant) page(c *call, tx *transaction, s *session, path string) func() {
	tx.session = s
	if tx.state == "" {
		tx.state = t.loginState(tx.req.client.ClientID)
	}
	t.storeTransaction(tx)
	return func() { redirect(c, c.path(path)+"?state="+tx.state) }
}

func redirect(c *call, location string) {
	c.w.Header().Set("Location", location)
	write(c.w, http.StatusFound, htmlType, nil)
}

// grantAuthorization is the end of a successful transaction.
func (t *Tenant) grantAuthorization(c *call, tx *transaction, s *session, u *tenant.User) func() {
	req := tx.req
	c.entry.User = u.UserID
	s.logInTo(req.client.ClientID, c.issuer)
	g := grant{
		client: req.client.ClientID, user: u.UserID, audience: req.audience, sid: s.sid,
		nonce: req.nonce, organization: req.organization, entry: tx.entry,
	}
	g.scopes = t.grantable(req.scopes, req.client, t.api(req.issuer, req.audience), u, req.organization)
	g.narrowed = len(g.scopes) < len(req.scopes)
	if req.maxAge >= 0 || req.asks("login") {
		g.authTime = s.authTime
	}
	if req.device != nil {
		return t.approveDevice(c, req.device, g)
	}
	var params []member
	if req.wants("code") {
		value := t.randomString(45)
		makeRoom(&t.st.room, t.st.codes, func(cd *code) bool { return c.now.Sub(cd.expires) > remembered },
			func(cd *code) time.Time { return cd.expires })
		t.st.codes[hash(value)] = &code{
			grant: g, redirectURI: req.redirectURI, sentRedirect: req.sentRedirect,
			challenge: req.challenge, method: req.method, jkt: req.jkt, expires: c.now.Add(codeLifetime), entry: tx.entry,
		}
		params = append(params, member{"code", value})
	}
	if len(params) != len(req.responseType) {
		return t.frontChannel(c, req, g, params)
	}
	return func() { t.answer(c, req, params) }
}
