package mock

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // TOTP is defined with it (RFC 6238)
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const mfaLifetime = 10 * time.Minute // of an mfa_token; undocumented at Auth0

// afterMFA continues a token request when the user has passed a second factor.
type afterMFA func(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError)

// mfaTransaction is a token request that waits for a second factor; kept by the hash
// of its mfa_token.
type mfaTransaction struct {
	client  string
	user    string
	expires time.Time
	entry   string // journal id of the token request
	next    afterMFA
	oob     *oobChallenge
}

// oobChallenge is the last out-of-band challenge of a transaction.
type oobChallenge struct {
	code    string // hash of oob_code
	binding string // hash of the code that was sent; "" for a push notification
	answer  string // of the push notification: "", accept, reject
}

// mfaRequired returns the error of a token request when an action requires a second
// factor. Its mfa_token continues the request.
func (t *Tenant) mfaRequired(c *call, client *tenant.Client, user string, next afterMFA) *oauthError {
	required := slices.ContainsFunc(t.actionsFor(tenant.TriggerPostLogin, client.ClientID), func(a tenant.Action) bool { return a.MFA })
	if !required {
		return nil
	}
	token := "Fe26.2*" + t.randomString(48)
	makeRoom(&t.st.room, t.st.mfas, func(tx *mfaTransaction) bool { return c.now.Sub(tx.expires) > mfaLifetime },
		func(tx *mfaTransaction) time.Time { return tx.expires })
	t.st.mfas[hash(token)] = &mfaTransaction{
		client: client.ClientID, user: user, expires: c.now.Add(mfaLifetime), entry: c.id, next: next,
	}
	e := refuse("mfa_required", "Multifactor authentication required")
	e.Extra = []member{{"mfa_token", token}}
	return e
}

// mfaOf returns the transaction of a request's mfa_token, and its user.
func (t *Tenant) mfaOf(c *call, client *tenant.Client, r tokenRequest) (*mfaTransaction, *tenant.User, *oauthError) {
	token := r.Get("mfa_token")
	if token == "" {
		return nil, nil, missing("mfa_token")
	}
	tx := t.st.mfas[hash(token)]
	if tx == nil || tx.client != client.ClientID || t.st.users[tx.user] == nil {
		return nil, nil, refuse("invalid_grant", "Malformed mfa_token")
	}
	if !c.now.Before(tx.expires) {
		return nil, nil, refuse("expired_token", "mfa_token is expired").withStatus(http.StatusUnauthorized)
	}
	c.entry.Parent = tx.entry
	return tx, t.st.users[tx.user], nil
}

// mfaChallenge is POST /mfa/challenge
// (https://auth0.com/docs/api/authentication/multi-factor-authentication/request-mfa-challenge).
func (t *Tenant) mfaChallenge(c *call) {
	r, bad := c.tokenRequest()
	var body object
	if bad == nil {
		t.mu.Lock()
		body, bad = t.challengeUser(c, r)
		t.mu.Unlock()
	}
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	write(c.w, http.StatusOK, jsonTypeUTF8, body.bytes())
}

func (t *Tenant) challengeUser(c *call, r tokenRequest) (object, *oauthError) {
	client, bad := t.authenticateClient(c, r)
	if bad != nil {
		return nil, bad
	}
	tx, u, bad := t.mfaOf(c, client, r)
	if bad != nil {
		return nil, bad
	}
	types := strings.Fields(r.Get("challenge_type"))
	if len(types) == 0 {
		types = []string{"otp", "oob"}
	}
	id := r.Get("authenticator_id")
	at := slices.IndexFunc(u.AuthenticationMethods, func(m tenant.AuthenticationMethod) bool {
		return slices.Contains(types, m.Challenge()) && (id == "" || m.ID == id)
	})
	if at < 0 {
		return nil, refuse("unsupported_challenge_type", "User does not have any enrolled authenticator with the supported challenge type ("+
			clip(strings.Join(types, " "))+")").withStatus(http.StatusUnauthorized)
	}
	m := u.AuthenticationMethods[at]
	if m.Challenge() == "otp" {
		return object{{"challenge_type", "otp"}}, nil
	}
	return t.challengeOOB(c, tx, u, m), nil
}

// challengeOOB sends a code, or a push notification, and returns its oob_code.
func (t *Tenant) challengeOOB(c *call, tx *mfaTransaction, u *tenant.User, m tenant.AuthenticationMethod) object {
	code := t.randomString(84) // as long as the recorded one
	tx.oob = &oobChallenge{code: hash(code)}
	body := object{{"challenge_type", "oob"}, {"oob_code", code}}
	if m.Type == "push" {
		return body
	}
	to := m.PhoneNumber
	switch {
	case m.Type == "email" && m.Email != "":
		to = m.Email
	case m.Type == "email":
		to = u.Email
	case to == "":
		to = u.PhoneNumber
	}
	binding := t.sixDigits()
	tx.oob.binding = hash(binding)
	t.send(Mail{Time: c.now, Kind: "mfa_code", To: to, ClientID: tx.client, Connection: u.Connection, Code: binding})
	return append(body, member{"binding_method", "prompt"})
}

// pushInput is the form of POST /_mock/push.
type pushInput struct {
	User   string `json:"user"`
	Answer string `json:"answer"`
}

// answerPush answers the push notifications that a user has.
func (t *Tenant) answerPush(in pushInput) (any, error) {
	u := t.st.userByLogin(in.User)
	switch {
	case u == nil:
		return nil, fieldError("user", "%q does not exist", in.User)
	case in.Answer != "accept" && in.Answer != "reject":
		return nil, fieldError("answer", "%q is neither accept nor reject", in.Answer)
	}
	count := 0
	for _, tx := range t.st.mfas {
		if tx.user == u.UserID && tx.oob != nil && tx.oob.binding == "" && tx.oob.answer == "" {
			tx.oob.answer = in.Answer
			count++
		}
	}
	if count == 0 {
		return nil, fieldError("user", "%q has no push notification to answer", in.User)
	}
	return in, nil
}

// validTOTP reports whether a one-time password is that of now, or of the step before
// or after (RFC 6238).
func validTOTP(m tenant.AuthenticationMethod, password string, now time.Time) bool {
	key, err := m.Key()
	if err != nil {
		return false
	}
	for _, drift := range []int64{0, -1, 1} {
		step := now.Unix()/30 + drift
		if step >= 0 && subtle.ConstantTimeCompare([]byte(hotp(key, uint64(step))), []byte(password)) == 1 {
			return true
		}
	}
	return false
}

// hotp is the six-digit password of a counter (RFC 4226 section 5.3).
func hotp(key []byte, counter uint64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, counter)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1000000)
}
