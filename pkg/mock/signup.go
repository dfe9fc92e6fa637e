package mock

import (
	"net/http"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

const minPassword = 8 // the default password policy of a database

// signupPage is /u/signup: it adds a user to the default directory and logs them in.
// screen_hint=signup opens it.
func (t *Tenant) signupPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	t.mu.Lock()
	tx, s := t.transactionOf(c, form.Get("state"))
	if tx == nil || tx.logout || !t.signupAllowed(tx.req) {
		t.mu.Unlock()
		t.noTransactionPage(c)
		return
	}
	c.entry.ClientID = tx.req.client.ClientID
	view := map[string]any{
		"State": tx.state, "Client": tx.req.client.Name, "Tenant": t.st.settings.FriendlyName,
		"Email": tx.req.loginHint, "Error": "",
	}
	if c.r.Method != http.MethodPost {
		t.mu.Unlock()
		render(c, http.StatusOK, "signup.html", view)
		return
	}
	u, problem := t.signUp(form.Get("email"), form.Get("password"), c.now.UTC().Format("2006-01-02T15:04:05.000Z"))
	if problem != "" {
		t.mu.Unlock()
		c.setReason(problem)
		view["Email"], view["Error"] = form.Get("email"), problem
		render(c, http.StatusBadRequest, "signup.html", view)
		return
	}
	t.logIn(c, s, u)
	tx.loggedIn = true
	t.mu.Unlock()
	redirect(c, "/authorize/resume?state="+tx.state)
}

// signupAllowed reports whether the request may use the default directory, and that
// takes new users.
func (t *Tenant) signupAllowed(req *authRequest) bool {
	if !t.mayUse(req, &tenant.User{Connection: t.st.settings.DefaultDirectory}) {
		return false
	}
	for _, db := range t.st.databases {
		if db.Name == t.st.settings.DefaultDirectory {
			return !db.DisableSignup
		}
	}
	return true
}

// signUp adds a user or returns the page's message. The message does not reveal that
// a user exists.
func (t *Tenant) signUp(email, password, now string) (*tenant.User, string) {
	local, domain, found := strings.Cut(email, "@")
	switch {
	case !found || local == "" || domain == "" || strings.ContainsAny(email, " \r\n\t") || len(email) > 254:
		return nil, "Email is not valid."
	case len(password) < minPassword:
		return nil, "Your password must contain at least 8 characters."
	case t.st.userByLogin(email) != nil:
		return nil, "Something went wrong, please try again later."
	}
	u := &tenant.User{Email: email, Password: password, CreatedAt: now, UpdatedAt: now}
	if err := t.st.addUser(u); err != nil {
		return nil, "Something went wrong, please try again later."
	}
	return u, ""
}
