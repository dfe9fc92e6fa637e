package mock

import (
	"encoding/base64"
	"net/http"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const sessionCookie = "auth0"

// session is one browser's: anonymous until a user logs in, then single sign-on.
type session struct {
	id       string
	user     string // user_id; "" before the login
	sid      string // the sid claim of its ID tokens
	authTime time.Time
	created  time.Time
	seen     time.Time
	clients  map[string]string // to which the user logged in: client_id → issuer
}

// browser returns the request's live session, or nil.
func (t *Tenant) browser(c *call) *session {
	ck, err := c.r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	s := t.st.sessions[ck.Value]
	if s == nil {
		return nil
	}
	if t.sessionExpired(s, c.now) {
		delete(t.st.sessions, s.id)
		return nil
	}
	s.seen = c.now
	return s
}

// sessionExpired reports whether a session is past its absolute or idle lifetime.
func (t *Tenant) sessionExpired(s *session, now time.Time) bool {
	absolute, idle := t.sessionLifetimes()
	return now.Sub(s.created) > absolute || now.Sub(s.seen) > idle
}

// sessionLifetimes are the absolute and the idle lifetime of a session.
func (t *Tenant) sessionLifetimes() (absolute, idle time.Duration) {
	absolute, idle = sessionLifetime, sessionIdle
	if h := t.st.settings.SessionLifetime; h > 0 {
		absolute = time.Duration(h * float64(time.Hour))
	}
	if h := t.st.settings.IdleSession; h > 0 {
		idle = time.Duration(h * float64(time.Hour))
	}
	return absolute, idle
}

// newBrowser starts an anonymous session and sets its cookie.
func (t *Tenant) newBrowser(c *call) *session {
	makeRoom(&t.st.room, t.st.sessions, func(s *session) bool { return t.sessionExpired(s, c.now) }, func(s *session) time.Time { return s.seen })
	s := &session{id: t.randomString(40), created: c.now, seen: c.now}
	t.st.sessions[s.id] = s
	t.setSessionCookie(c, s.id, sessionLifetime)
	return s
}

// logIn binds the session to a user and gives it a new id, against session fixation.
func (t *Tenant) logIn(c *call, s *session, u *tenant.User) {
	delete(t.st.sessions, s.id)
	if s.user != u.UserID || s.sid == "" {
		s.sid = t.randomString(32)
		s.clients = nil
	}
	s.id, s.user, s.authTime, s.created, s.seen = t.randomString(40), u.UserID, c.now, c.now, c.now
	t.st.sessions[s.id] = s
	t.setSessionCookie(c, s.id, sessionLifetime)
}

// setSessionCookie sets the cookie once, also when it is called twice for a response.
func (t *Tenant) setSessionCookie(c *call, value string, life time.Duration) {
	ck := &http.Cookie{
		Name: sessionCookie, Value: value, Path: c.path("/"), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(life / time.Second),
	}
	if c.secure() {
		ck.Secure, ck.SameSite = true, http.SameSiteNoneMode
	}
	h := c.w.Header()
	kept := h["Set-Cookie"][:0]
	for _, v := range h["Set-Cookie"] {
		if len(v) < len(sessionCookie)+1 || v[:len(sessionCookie)+1] != sessionCookie+"=" {
			kept = append(kept, v)
		}
	}
	h["Set-Cookie"] = append(kept, ck.String())
}

// transaction is an /authorize request while the pages ask the user.
type transaction struct {
	state     string // of the pages; not the client's state
	req       *authRequest
	session   *session // its browser; the session's id changes at login
	loggedIn  bool     // the login that this request needs is done
	consented bool
	declined  bool
	personal  bool // the user chose no organization
	invited   bool // the invitation is accepted
	created   time.Time
	entry     string // journal id of /authorize
	logout    bool   // this is a logout that asks the user
	target    string // where the logout redirects
}

// loginState returns the state of /u/login: a msgpack map in base64url, as recorded.
func (t *Tenant) loginState(client string) string {
	b := []byte{0x84} // a map of four
	str := func(s string) {
		if len(s) < 32 { // the shortest form, as every encoder writes
			b = append(b, 0xa0|byte(len(s))) //nolint:gosec // below 32
		} else {
			b = append(b, 0xd9, byte(len(s))) //nolint:gosec // at most 255, see below
		}
		b = append(b, s...)
	}
	for _, kv := range [][2]string{
		{"h", t.randomString(32)}, {"n", "universal-login"}, {"tid", t.randomString(32)}, {"cid", client[:min(len(client), 255)]},
	} {
		str(kv[0])
		str(kv[1])
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// transactionOf returns the transaction of a page's request. It is nil unless the
// transaction is alive, started in the same browser, and its client still exists.
func (t *Tenant) transactionOf(c *call, state string) (*transaction, *session) {
	s := t.browser(c)
	tx := t.st.logins[state]
	if tx == nil || s == nil || tx.session != s || c.now.Sub(tx.created) > loginLifetime {
		return nil, nil
	}
	if tx.logout {
		return tx, s
	}
	tx.req.client = t.st.clients[tx.req.client.ClientID]
	if tx.req.client == nil {
		delete(t.st.logins, state)
		return nil, nil
	}
	return tx, s
}

// storeTransaction stores a transaction while its pages ask the user.
func (t *Tenant) storeTransaction(tx *transaction) {
	makeRoom(&t.st.room, t.st.logins, func(old *transaction) bool { return tx.created.Sub(old.created) > loginLifetime },
		func(old *transaction) time.Time { return old.created })
	t.st.logins[tx.state] = tx
}
