package mock

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// logoutV2 is GET /v2/logout
// (https://auth0.com/docs/api/authentication/logout/auth-0-logout).
func (t *Tenant) logoutV2(c *call) {
	q := c.query()
	c.entry.ClientID = clip(q.Get("client_id"))
	t.mu.Lock()
	target, bad := t.logoutTarget(q.Get("client_id"), q.Get("returnTo"), true)
	if bad == nil {
		t.endSession(c)
	}
	t.mu.Unlock()
	t.finishLogout(c, target, bad)
}

func (t *Tenant) finishLogout(c *call, target string, bad *oauthError) {
	switch {
	case bad != nil:
		t.errorPage(c, c.query(), bad)
	case target != "":
		redirect(c, target)
	default:
		donePage(c, "Logged out", "You are logged out. You can close this page.")
	}
}

// logoutTarget checks the target of a logout against the Allowed Logout URLs of the
// client and the tenant. The comparison ignores query, fragment, and the case of
// scheme and host. Without a target it returns the first allowed URL if fallback
// is set.
func (t *Tenant) logoutTarget(clientID, target string, fallback bool) (string, *oauthError) {
	allowed := t.st.settings.AllowedLogoutURLs
	var client *tenant.Client
	if clientID != "" {
		client = t.st.clients[clientID]
		if client == nil {
			return "", refuse("invalid_request", "Unknown client: "+clip(clientID)).withHint("%s", t.unknownClient(clientID))
		}
		allowed = client.AllowedLogoutURLs
		if !fallback {
			allowed = append(slices.Clone(allowed), t.st.settings.AllowedLogoutURLs...)
		}
	}
	switch {
	case target == "" && fallback:
		return firstWhole(allowed), nil
	case target == "":
		return "", nil
	case !allowedURL(client, allowed, target, "", func(a, target string) bool {
		return a == target || t.cfg.Profile == ProfileAuth0 && sameLogoutURL(a, target)
	}):
		return "", refuse("invalid_request", "The logout URL "+clip(target)+" is not in the list of allowed logout URLs").
			withHint("%s", logoutHint(target, client))
	}
	return target, nil
}

func sameLogoutURL(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ub.User == nil && !strings.ContainsFunc(b, unsafeInURL) &&
		strings.EqualFold(ua.Scheme, ub.Scheme) && strings.EqualFold(ua.Host, ub.Host) && ua.EscapedPath() == ub.EscapedPath()
}

// unsafeInURL reports characters that browsers normalize, which can change the host.
func unsafeInURL(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

// endSession ends the browser's session and reports that to the clients.
func (t *Tenant) endSession(c *call) {
	if s := t.browser(c); s != nil {
		delete(t.st.sessions, s.id)
		t.reportLogout(c, s)
	}
	t.setSessionCookie(c, "", -1e9)
}

// logoutOIDC is GET and POST /oidc/logout, OpenID Connect RP-Initiated Logout
// (https://auth0.com/docs/authenticate/login/logout/log-users-out-of-auth0).
func (t *Tenant) logoutOIDC(c *call) {
	p := parameters{c.query()}
	if c.r.Method == http.MethodPost {
		form, bad := c.form()
		if bad != nil {
			t.errorPage(c, nil, bad)
			return
		}
		p = parameters{form}
	}
	t.mu.Lock()
	clientID, hinted, bad := t.logoutClient(c, p)
	c.entry.ClientID = clip(clientID)
	target := ""
	if bad == nil {
		target, bad = t.logoutTarget(clientID, p.Get("post_logout_redirect_uri"), false)
	}
	if t.cfg.Profile == ProfileStrictOIDC && p.Get("id_token_hint") == "" {
		target = "" // not verified without a hint (OpenID Connect RP-Initiated Logout, section 3)
	}
	if bad == nil && target != "" && p.Has("state") {
		target = mergeQuery(target, query([]member{{"state", p.Get("state")}}))
	}
	switch {
	case bad != nil:
	case hinted:
		t.endSession(c)
	default:
		target = t.askBeforeLogout(c, clientID, target)
	}
	t.mu.Unlock()
	t.finishLogout(c, target, bad)
}

// logoutClient returns the client of a logout: from the ID token (which may have
// expired), or else client_id. hinted reports a valid hint, with which the tenant
// does not ask the user: the ID token, or the session's sid as logout_hint.
func (t *Tenant) logoutClient(c *call, p parameters) (id string, hinted bool, bad *oauthError) {
	id = p.Get("client_id")
	hint := p.Get("id_token_hint")
	if hint == "" {
		s := t.browser(c)
		return id, s != nil && s.user != "" && s.sid == p.Get("logout_hint"), nil
	}
	claims, ok := t.openJWT(hint)
	aud, isString := claims["aud"].(string)
	iss, _ := claims["iss"].(string)
	switch {
	case !ok || !isString || !t.ownIssuer(c, iss):
		return id, false, refuse("invalid_request", "The id_token_hint is invalid")
	case id != "" && id != aud:
		return id, false, refuse("invalid_request", "client_id and id_token_hint name different clients")
	}
	return aud, true, nil
}

// askBeforeLogout stores the target and returns the address of the page that asks.
func (t *Tenant) askBeforeLogout(c *call, clientID, target string) string {
	s := t.browser(c)
	if s == nil {
		s = t.newBrowser(c)
	}
	tx := &transaction{
		state: t.loginState(clientID), session: s, created: c.now, entry: c.id, logout: true, target: target,
	}
	t.storeTransaction(tx)
	return c.path("/u/logout-consent?state=") + tx.state
}

// logoutConsentPage is /u/logout-consent.
func (t *Tenant) logoutConsentPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	tx, _ := t.transactionOf(c, form.Get("state"))
	if tx == nil || !tx.logout {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	if c.r.Method != http.MethodPost {
		t.mu.Unlock()
		render(c, http.StatusOK, "logout.html", map[string]any{"State": tx.state})
		return
	}
	delete(t.st.logins, tx.state)
	if form.Get("action") == "accept" {
		t.endSession(c)
	}
	t.mu.Unlock()
	if form.Get("action") != "accept" {
		donePage(c, "Still logged in", "You did not log out. You can close this page.")
		return
	}
	t.finishLogout(c, tx.target, nil)
}
