package mock

import (
	"cmp"
	"fmt"
	"net/http"

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
	redirect(c, c.path("/authorize/resume?state=")+tx.state)
}

// signupAllowed reports whether the request may use the default directory, and that
// takes new users.
func (t *Tenant) signupAllowed(req *authRequest) bool {
	if !t.mayUse(req, &tenant.User{Connection: t.st.settings.DefaultDirectory}) {
		return false
	}
	for _, db := range t.st.databases {
		if db.Name == t.st.settings.DefaultDirectory {
			return !db.SignupDisabled()
		}
	}
	return true
}

// signUp adds a user or returns the page's message. The message does not reveal that
// a user exists.
func (t *Tenant) signUp(email, password, now string) (*tenant.User, string) {
	policy := policyOf(cmp.Or(t.st.database(t.st.settings.DefaultDirectory), &tenant.Database{}))
	_, strong := policy.rules(password)
	switch {
	case !validEmail(email):
		return nil, "Email is not valid."
	case !policy.longEnough(password):
		return nil, fmt.Sprintf("Your password must contain at least %d characters.", policy.length)
	case !strong:
		return nil, "Your password is too weak."
	case t.st.userByLogin(email) != nil:
		return nil, "Something went wrong, please try again later."
	}
	u := &tenant.User{Email: email, Password: password, CreatedAt: now, UpdatedAt: now}
	if err := t.st.addUser(u); err != nil {
		return nil, "Something went wrong, please try again later."
	}
	return u, ""
}
