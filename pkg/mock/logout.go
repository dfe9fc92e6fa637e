package mock

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// logoutV2 is GET /v2/logout
// (https://auth0.com/docs/api/authentication/logout/auth-0-logout).
func (t *Tenant) logoutV2(c *call) {
	q := c.r.URL.Query()
	t.mu.Lock()
	target, bad := t.logoutTarget(q.Get("client_id"), q.Get("returnTo"), true)
	if bad == nil {
		t.endSession(c)
	}
	t.mu.Unlock()
	t.loggedOut(c, target, bad)
}

func (t *Tenant) loggedOut(c *call, target string, bad *oauthError) {
	switch {
	case bad != nil:
		t.errorPage(c, c.r.URL.Query(), bad)
	case target != "":
		redirect(c, target)
	default:
		done(c, "Logged out", "You are logged out. You can close this page.")
	}
}

// logoutTarget checks where a logout leads against the client's and the
// tenant's Allowed Logout URLs. Query and fragment are ignored in the
// comparison, the case of scheme and host as well. Without a target the first
// allowed URL serves if fallback is set.
func (t *Tenant) logoutTarget(clientID, target string, fallback bool) (string, *oauthError) {
	allowed := t.st.settings.AllowedLogoutURLs
	if clientID != "" {
		client := t.st.clients[clientID]
		if client == nil {
			return "", refuse("invalid_request", "Unknown client: "+clip(clientID))
		}
		allowed = client.AllowedLogoutURLs
		if !fallback {
			allowed = append(slices.Clone(allowed), t.st.settings.AllowedLogoutURLs...)
		}
	}
	switch {
	case target == "" && fallback && len(allowed) > 0:
		return allowed[0], nil
	case target == "":
		return "", nil
	case !slices.ContainsFunc(allowed, func(a string) bool { return sameLogoutURL(a, target) }):
		return "", refuse("invalid_request", "The logout URL "+clip(target)+" is not in the list of allowed logout URLs")
	}
	return target, nil
}

func sameLogoutURL(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ub.User == nil && !strings.ContainsAny(b, "\\\r\n\t ") &&
		strings.EqualFold(ua.Scheme, ub.Scheme) && strings.EqualFold(ua.Host, ub.Host) && ua.EscapedPath() == ub.EscapedPath()
}

func (t *Tenant) endSession(c *call) {
	if s := t.browser(c); s != nil {
		delete(t.st.sessions, s.id)
	}
	t.setSessionCookie(c, "", -1e9)
}

// logoutOIDC is GET and POST /oidc/logout, OpenID Connect RP-Initiated Logout
// (https://auth0.com/docs/authenticate/login/logout/log-users-out-of-auth0).
func (t *Tenant) logoutOIDC(c *call) {
	p := parameters{c.r.URL.Query()}
	if c.r.Method == http.MethodPost {
		form, bad := c.form()
		if bad != nil {
			t.errorPage(c, nil, bad)
			return
		}
		p = parameters{form}
	}
	clientID, hinted, bad := t.logoutClient(p)
	if bad != nil {
		t.errorPage(c, p.Values, bad)
		return
	}
	c.entry.ClientID = clientID
	t.mu.Lock()
	target, bad := t.logoutTarget(clientID, p.Get("post_logout_redirect_uri"), false)
	if bad == nil && target != "" && p.Has("state") {
		target = mergeQuery(target, query([]member{{"state", p.Get("state")}}))
	}
	switch {
	case bad != nil:
	case hinted:
		t.endSession(c)
	default:
		target = t.askLogout(c, clientID, target)
	}
	t.mu.Unlock()
	t.loggedOut(c, target, bad)
}

// logoutClient names the client of a logout: by the ID token (which may have
// expired), else by client_id. A hint makes asking the person needless.
func (t *Tenant) logoutClient(p parameters) (id string, hinted bool, bad *oauthError) {
	id = p.Get("client_id")
	hint := p.Get("id_token_hint")
	if hint == "" {
		return id, p.Get("logout_hint") != "", nil
	}
	claims, ok := t.openJWT(hint)
	aud, isString := claims["aud"].(string)
	switch {
	case !ok || !isString:
		return "", false, refuse("invalid_request", "The id_token_hint is invalid")
	case id != "" && id != aud:
		return "", false, refuse("invalid_request", "client_id and id_token_hint name different clients")
	}
	return aud, true, nil
}

// askLogout keeps where to go and returns the page that asks first.
func (t *Tenant) askLogout(c *call, clientID, target string) string {
	s := t.browser(c)
	if s == nil {
		s = t.newBrowser(c)
	}
	tx := &transaction{
		state: t.universalState(clientID), session: s.id, created: c.now, entry: c.id, logout: true, target: target,
	}
	t.keep(tx)
	return "/u/logout-consent?state=" + tx.state
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
		t.lostPage(c)
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
		done(c, "Still logged in", "You did not log out. You can close this page.")
		return
	}
	t.loggedOut(c, tx.target, nil)
}
