package mock

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	otpLifetime = 3 * time.Minute // the default of a connection
	otpAttempts = 3
)

// otp is the last code that was sent to an address; the ones before are invalid.
type otp struct {
	code     string // its hash
	expires  time.Time
	attempts int
}

func otpKey(connection, address string) string { return connection + "\x00" + address }

// newOTP makes the code of an address.
func (t *Tenant) newOTP(c *call, connection, address string) string {
	code := t.sixDigits()
	makeRoom(&t.st.room, t.st.otps, func(o *otp) bool { return !c.now.Before(o.expires) }, func(o *otp) time.Time { return o.expires })
	t.st.otps[otpKey(connection, address)] = &otp{code: hash(code), expires: c.now.Add(otpLifetime)}
	return code
}

func (t *Tenant) sixDigits() string {
	b := make([]byte, 8)
	if _, err := t.random.Read(b); err != nil {
		panic("mock: no randomness: " + err.Error())
	}
	return fmt.Sprintf("%06d", binary.BigEndian.Uint64(b)%1000000)
}

// validOTP reports whether a code is the last one that was sent to an address.
func (t *Tenant) validOTP(c *call, key, code string) bool {
	o := t.st.otps[key]
	if o == nil || !c.now.Before(o.expires) || o.attempts >= otpAttempts {
		return false
	}
	o.attempts++
	return subtle.ConstantTimeCompare([]byte(hash(code)), []byte(o.code)) == 1
}

// passwordlessOTP is grant_type=http://auth0.com/oauth/grant-type/passwordless/otp
// (https://auth0.com/docs/api/authentication/passwordless/authenticate-user).
func (t *Tenant) passwordlessOTP(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	for _, name := range []string{"username", "otp", "realm"} {
		if r.Get(name) == "" {
			return nil, missing(name)
		}
	}
	conn := t.st.passwordlessConnection(r.Get("realm"))
	if conn == nil || !conn.Enables(client) {
		return nil, refuse("invalid_request", "connection "+clip(r.Get("realm"))+" does not exist")
	}
	aud := t.requestedAPI(r.parameters)
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	if aud != "" && t.api(c.issuer, aud) == nil && aud != c.issuer+"userinfo" {
		return nil, refuse("access_denied", "Service not found: "+clip(aud))
	}
	address, wrong := strings.ToLower(r.Get("username")), "Wrong email or verification code."
	if conn.Strategy == "sms" {
		wrong = "Wrong phone number or verification code."
	}
	key := otpKey(conn.Name, address)
	u := t.passwordlessUser(conn, address)
	if u == nil || !t.validOTP(c, key, r.Get("otp")) {
		return nil, refuse("invalid_grant", wrong)
	}
	if bad := t.mayLogIn(u, client); bad != nil {
		return nil, bad
	}
	g := grant{client: client.ClientID, user: u.UserID, audience: aud, entry: c.id}
	if t.api(c.issuer, aud) == nil {
		g.audience = ""
	}
	asked := uniqueFields(r.Get("scope"))
	g.scopes = t.grantable(asked, client, t.api(c.issuer, aud), u, g.organization)
	g.narrowed = len(g.scopes) < len(asked)
	next, bad := t.afterLogin(c, client, r, g, func() { t.verifyAddress(conn, key, g.user) })
	if bad != nil && bad.Code == "mfa_required" {
		delete(t.st.otps, key)
	}
	return next, bad
}

// mayLogIn refuses a blocked user and what an action denies.
func (t *Tenant) mayLogIn(u *tenant.User, client *tenant.Client) *oauthError {
	if u.Blocked {
		return refuse("unauthorized", "user is blocked").withStatus(statusOf("access_denied"))
	}
	return t.denied(tenant.TriggerPostLogin, client.ClientID)
}

// verifyAddress ends the use of a code and marks its address as verified.
func (t *Tenant) verifyAddress(conn *tenant.Connection, key, user string) {
	delete(t.st.otps, key)
	u := t.st.users[user]
	changed := *u
	changed.EmailVerified = u.EmailVerified || conn.Strategy == "email"
	changed.PhoneVerified = u.PhoneVerified || conn.Strategy == "sms"
	_ = t.st.replaceUser(u, &changed) // the user was valid
}

// passwordlessLink is /passwordless/verify_redirect, the link in a mail: it logs the
// user in and answers the authorization request in the link.
func (t *Tenant) passwordlessLink(c *call) {
	p, bad := c.authorizeParameters()
	if bad != nil {
		t.errorPage(c, nil, bad)
		return
	}
	if p.Get("response_type") == "" {
		p.Set("response_type", "code")
	}
	c.entry.ClientID = clip(p.Get("client_id"))
	t.mu.Lock()
	next := t.followLink(c, p)
	t.mu.Unlock()
	next()
}

func (t *Tenant) followLink(c *call, p parameters) func() {
	req, bad := t.parseAuthorize(c, p, false)
	switch {
	case req == nil:
		return func() { t.errorPage(c, p.Values, bad) }
	case bad != nil:
		return t.refusal(c, req, bad)
	}
	conn := t.st.passwordlessConnection(p.Get("connection"))
	address := strings.ToLower(p.Get("email"))
	if conn == nil || conn.Strategy != "email" || !conn.Enables(req.client) {
		return t.refusal(c, req, refuse("invalid_request", "the connection was not found"))
	}
	key := otpKey(conn.Name, address)
	u := t.passwordlessUser(conn, address)
	if u == nil || !t.validOTP(c, key, p.Get("verification_code")) {
		return func() {
			t.errorPage(c, p.Values, refuse("unauthorized", "The verification code has expired. Please try to login again.").withStatus(http.StatusBadRequest))
		}
	}
	t.verifyAddress(conn, key, u.UserID)
	s := t.browser(c)
	if s == nil {
		s = t.newBrowser(c)
	}
	t.logIn(c, s, u)
	return t.advance(c, &transaction{req: req, created: c.now, entry: c.id, loggedIn: true}, s)
}
