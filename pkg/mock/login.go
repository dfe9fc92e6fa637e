package mock

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// loginPage is /u/login: the identifier and password form.
func (t *Tenant) loginPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	tx, s := t.transactionOf(c, form.Get("state"))
	if tx == nil || tx.logout {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	c.entry.ClientID = tx.req.client.ClientID
	view := map[string]any{
		"State": tx.state, "Client": tx.req.client.Name, "Tenant": t.st.settings.FriendlyName,
		"Username": tx.req.loginHint, "Error": "", "Signup": t.signupAllowed(tx.req),
	}
	if c.r.Method != http.MethodPost {
		t.mu.Unlock()
		render(c, http.StatusOK, "login.html", view)
		return
	}
	u := t.authenticate(form.Get("username"), form.Get("password"), func(u *tenant.User) bool { return t.mayUse(tx.req, u) })
	if u == nil {
		t.mu.Unlock()
		c.setReason("wrong email or password")
		view["Username"], view["Error"] = form.Get("username"), "Wrong email or password."
		render(c, http.StatusBadRequest, "login.html", view)
		return
	}
	t.logIn(c, s, u)
	tx.loggedIn = true
	t.mu.Unlock()
	redirect(c, c.path("/authorize/resume?state=")+tx.state)
}

// authenticate returns the user of a login and password whose connection is accepted,
// or nil.
func (t *Tenant) authenticate(login, password string, accepts func(*tenant.User) bool) *tenant.User {
	u := t.st.userIn(login, accepts)
	if u == nil || u.Password == "" || subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) != 1 {
		return nil
	}
	return u
}

// consentPage is /u/consent: the person allows or declines the scopes.
func (t *Tenant) consentPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	tx, s := t.transactionOf(c, form.Get("state"))
	if tx == nil || tx.logout || t.st.users[s.user] == nil {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	c.entry.ClientID = tx.req.client.ClientID
	if c.r.Method == http.MethodPost {
		tx.consented = form.Get("action") == "accept"
		tx.declined = !tx.consented
		t.mu.Unlock()
		redirect(c, c.path("/authorize/resume?state=")+tx.state)
		return
	}
	u := t.st.users[s.user]
	view := map[string]any{
		"State": tx.state, "Client": tx.req.client.Name, "Tenant": t.st.settings.FriendlyName,
		"User": u.Email, "Scopes": t.describeScopes(tx.req), "API": "",
	}
	if api := t.api(tx.req.issuer, tx.req.audience); api != nil {
		view["API"] = api.Name
	}
	t.mu.Unlock()
	render(c, http.StatusOK, "consent.html", view)
}

// describeScopes returns the texts of the consent page.
func (t *Tenant) describeScopes(req *authRequest) []string {
	words := map[string]string{
		"profile": "Profile: access to your profile", "email": "Email: access to your email address",
		"address": "Address: access to your address", "phone": "Phone: access to your phone number",
		"offline_access": "Offline access: keep access when you are not here",
	}
	if api := t.api(req.issuer, req.audience); api != nil {
		for _, s := range api.Scopes {
			words[s.Value] = strings.TrimPrefix(s.Value+": "+s.Description, ": ")
		}
	}
	var out []string
	for _, s := range req.scopes {
		if w := words[s]; w != "" {
			out = append(out, w)
		}
	}
	return out
}

// pageForm returns a page's parameters: the query of a GET, the body of a POST
// with the query's state.
func (c *call) pageForm() (parameters, *oauthError) {
	if c.r.Method != http.MethodPost {
		return parameters{c.query()}, nil
	}
	v, bad := c.form()
	if bad == nil && v.Get("state") == "" {
		v.Set("state", c.query().Get("state"))
	}
	return parameters{v}, bad
}
