package mock

import (
	"net/http"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// passwordReset is a link that was mailed, kept by the hash of its ticket.
type passwordReset struct {
	user    string
	expires time.Time
}

// resetPasswordPage is /u/reset-password, the link in the mail of change_password. The
// link can be used once.
func (t *Tenant) resetPasswordPage(c *call) {
	form, bad := c.pageForm()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	ticket := form.Get("ticket")
	t.mu.Lock()
	r, known := t.st.resets[hash(ticket)]
	u := t.st.users[r.user]
	if !known || u == nil || !c.now.Before(r.expires) {
		t.mu.Unlock()
		t.errorPage(c, nil, refuse("invalid_request", "This link can be used once, and this one was used or has expired."))
		return
	}
	if c.r.Method != http.MethodPost {
		t.mu.Unlock()
		render(c, http.StatusOK, "reset.html", map[string]any{"Ticket": ticket, "Email": u.Email, "Error": ""})
		return
	}
	if !t.setPassword(u, form.Get("password")) {
		t.mu.Unlock()
		c.setReason("the password is too weak")
		render(c, http.StatusBadRequest, "reset.html", map[string]any{"Ticket": ticket, "Email": u.Email, "Error": "Password is too weak"})
		return
	}
	delete(t.st.resets, hash(ticket))
	delete(t.st.attempts, attemptKey("password", u.UserID)) // a new password unblocks the user, as at Auth0
	t.mu.Unlock()
	donePage(c, "Password changed", "Your password has been changed. You can close this page.")
}

// setPassword changes the password of a user, unless it is too weak for the database.
func (t *Tenant) setPassword(u *tenant.User, password string) bool {
	db := t.st.database(u.Connection)
	if db == nil {
		return false
	}
	if _, strong := policyOf(db).rules(password); !strong {
		return false
	}
	changed := *u
	changed.Password = password
	return t.st.replaceUser(u, &changed) == nil
}
