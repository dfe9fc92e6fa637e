package mock

import (
	"crypto/subtle"
	"net/http"
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// secondFactor checks the second factor of a request. It returns members to add to the
// answer.
type secondFactor func(c *call, tx *mfaTransaction, u *tenant.User, r tokenRequest) (object, *oauthError)

// mfaGrant returns the handler of a grant that answers mfa_required
// (https://auth0.com/docs/secure/multi-factor-authentication/authenticate-using-ropg-flow-with-mfa).
// The answer is that of the request which was interrupted.
func (t *Tenant) mfaGrant(check secondFactor) grantHandler {
	return func(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
		tx, u, bad := t.mfaOf(c, client, r)
		if bad != nil {
			return nil, bad
		}
		key := attemptKey("mfa", u.UserID)
		switch {
		case t.blocked(key, c.now):
			return nil, refuse("too_many_attempts", "Your account has been blocked after multiple consecutive login attempts.")
		case u.Blocked:
			return nil, refuse("unauthorized", "user is blocked").withStatus(statusOf("access_denied"))
		}
		extra, bad := check(c, tx, u, r)
		if bad == nil {
			var answer func()
			if answer, bad = tx.next(c, client, r); bad == nil {
				delete(t.st.mfas, hash(r.Get("mfa_token")))
				delete(t.st.attempts, key)
				c.extra = extra
				return answer, nil
			}
		}
		if bad.Code == "invalid_grant" {
			t.failed(key, c.now)
		}
		return nil, bad
	}
}

// checkOTP is grant_type=http://auth0.com/oauth/grant-type/mfa-otp.
func (t *Tenant) checkOTP(c *call, _ *mfaTransaction, u *tenant.User, r tokenRequest) (object, *oauthError) {
	if r.Get("otp") == "" {
		return nil, missing("otp")
	}
	if !slices.ContainsFunc(u.AuthenticationMethods, func(m tenant.AuthenticationMethod) bool {
		return m.Type == "totp" && validTOTP(m, r.Get("otp"), c.now)
	}) {
		return nil, refuse("invalid_grant", "Invalid otp_code.")
	}
	return nil, nil
}

// checkOOB is grant_type=http://auth0.com/oauth/grant-type/mfa-oob.
func (t *Tenant) checkOOB(_ *call, tx *mfaTransaction, _ *tenant.User, r tokenRequest) (object, *oauthError) {
	if r.Get("oob_code") == "" {
		return nil, missing("oob_code")
	}
	if tx.oob == nil || tx.oob.code != hash(r.Get("oob_code")) {
		return nil, refuse("invalid_grant", "Invalid oob_code.")
	}
	if tx.oob.binding == "" {
		return nil, tx.oob.pushed()
	}
	switch {
	case r.Get("binding_code") == "":
		return nil, missing("binding_code")
	case subtle.ConstantTimeCompare([]byte(tx.oob.binding), []byte(hash(r.Get("binding_code")))) != 1:
		return nil, refuse("invalid_grant", "Invalid binding_code.")
	}
	return nil, nil
}

// pushed returns the error of a push notification that the user has not accepted.
// Recorded tenants answer 400, where the device flow answers 403.
func (o *oobChallenge) pushed() *oauthError {
	switch o.answer {
	case "":
		return refuse("authorization_pending", "Authorization pending: please repeat the request in a few seconds.").
			withStatus(http.StatusBadRequest)
	case "reject":
		return refuse("access_denied", "MFA Authorization rejected.").withStatus(http.StatusBadRequest)
	}
	return nil
}

// checkRecoveryCode is grant_type=http://auth0.com/oauth/grant-type/mfa-recovery-code.
// The answer has the next code.
func (t *Tenant) checkRecoveryCode(_ *call, _ *mfaTransaction, u *tenant.User, r tokenRequest) (object, *oauthError) {
	sent := r.Get("recovery_code")
	if sent == "" {
		return nil, missing("recovery_code")
	}
	at := slices.IndexFunc(u.AuthenticationMethods, func(m tenant.AuthenticationMethod) bool {
		return m.Type == "recovery-code" && subtle.ConstantTimeCompare([]byte(m.RecoveryCode), []byte(sent)) == 1
	})
	if at < 0 {
		return nil, refuse("invalid_grant", "Invalid recovery_code.")
	}
	changed := *u
	changed.AuthenticationMethods = slices.Clone(u.AuthenticationMethods)
	changed.AuthenticationMethods[at].RecoveryCode = t.recoveryCode()
	_ = t.st.replaceUser(u, &changed) // the user was valid
	return object{{"recovery_code", changed.AuthenticationMethods[at].RecoveryCode}}, nil
}

// recoveryCode returns 24 capitals and digits.
func (t *Tenant) recoveryCode() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, 24)
	if _, err := t.random.Read(b); err != nil {
		panic("mock: no randomness: " + err.Error())
	}
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}
