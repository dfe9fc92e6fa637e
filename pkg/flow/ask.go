package flow

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The grants of Auth0 and RFC 8693 that have names of their own.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantRealm    = "http://auth0.com/oauth/grant-type/password-realm"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
)

// credentialSource is a source that asks with what the client has: no person is needed,
// and an answer may bring a refresh token.
type credentialSource interface {
	Source
	params() url.Values                                                    // of the request, without secret, audience and scope
	secret(ctx context.Context) (parameter string, value Secret, e *Error) // what is asked with
	lasting() bool                                                         // secret is the same until somebody changes it
}

func (s Exchange) params() url.Values {
	return url.Values{"grant_type": {grantExchange}, "subject_token_type": {s.SubjectTokenType}}
}

func (s Exchange) secret(ctx context.Context) (string, Secret, *Error) {
	v, e := s.subject(ctx)
	return "subject_token", v, e
}

func (s Exchange) lasting() bool { return s.SubjectTokenFile != "" }

func (s Password) params() url.Values {
	if s.Realm != "" {
		return url.Values{"grant_type": {grantRealm}, "username": {s.Username}, "realm": {s.Realm}}
	}
	return url.Values{"grant_type": {"password"}, "username": {s.Username}}
}

func (s Password) secret(context.Context) (string, Secret, *Error) { //nolint:unparam // as a credentialSource has it
	return "password", s.Password, nil
}
func (s Password) lasting() bool { return true }

// credentialForm is the request with the source's credential.
func (x *exchange) credentialForm(ctx context.Context, s credentialSource) (form url.Values, e *Error) {
	name, value, e := s.secret(ctx)
	if e != nil {
		return nil, e
	}
	form, x.sent = s.params(), value
	form.Set(name, value.Reveal())
	return form, nil
}

// credentialHash identifies what is asked with and for: what was refused once is
// not sent again. A password can be guessed, so its hash is slow to make.
func (c *Client) credentialHash(s credentialSource, value Secret) string {
	if !s.lasting() {
		value = ""
	}
	v := s.params()
	maps.Copy(v, c.cfg.TokenParams)
	v.Set("secret", value.Reveal())
	v.Set("audience", c.cfg.Audience)
	v.Set("scope", strings.Join(c.cfg.Scopes, " "))
	if _, ok := s.(Password); !ok {
		return fingerprint(Secret(v.Encode()))
	}
	c.hashOnce.Do(func() { c.hashed = passwordHash(c.cfg.Issuer, c.cfg.ClientID, v.Encode()) })
	return c.hashed
}

// passwordHash hashes a password by PBKDF2 (RFC 8018). It does not change in a
// client's life.
func passwordHash(issuer, clientID, text string) string {
	key, err := pbkdf2.Key(sha256.New, text, []byte(issuer+" "+clientID), 100_000, sha256.Size)
	if err != nil {
		return "none" // FIPS mode refuses a short salt: no change of the password is noticed then
	}
	return base64.RawURLEncoding.EncodeToString(key)
}

// currentCredentialHash is the hash of what the client would ask with now, where
// g was refused with such; "" when that cannot be told.
func (c *Client) currentCredentialHash(ctx context.Context, g *Grant) string {
	s := c.kind.credentials
	if s == nil || g == nil || g.Refused == "" {
		return ""
	}
	if !s.lasting() {
		return c.credentialHash(s, "")
	}
	_, value, e := s.secret(ctx)
	if e != nil {
		return ""
	}
	return c.credentialHash(s, value)
}

// newGrant begins a grant in the place of one that cannot be used any longer, or
// must not be.
func (x *exchange) newGrant(g *Grant, revision int64) *Grant {
	if g.begun() {
		x.prior = g
	}
	return x.c.blank(g, revision)
}

// asked reports whether g is had by asking, so that a refusal is of the
// credential and not of a refresh token.
func (x *exchange) asked(g *Grant) bool {
	return x.c.kind.credentials != nil && g.RefreshToken == ""
}

// askPause is between requests that were refused for what they ask. Auth0 lets
// an address try six invalid subject tokens an hour
// (https://auth0.com/docs/authenticate/custom-token-exchange/cte-attack-protection).
const askPause = retryAfterMax

// sortAsk gives a refusal of what was asked with its class and its hint.
func (c *Client) sortAsk(e *Error) {
	_, password := c.cfg.Source.(Password)
	switch {
	case e.Code == "mfa_required":
		e.Class, e.Remedy = ClassLoginRequired, RemedySetting
		e.Hint = "this grant cannot answer a second factor: let the tenant not ask for one, or use the grant authorization_code or device_code"
	case e.Code == "too_many_attempts" && password:
		e.Class, e.Hint = ClassLoginRequired, "the tenant has blocked the account: unblock it there and correct the password, then log in again"
	case e.Code == "too_many_attempts":
		e.Class, e.RetryAfter = ClassRateLimited, max(e.RetryAfter, askPause)
	case e.Class == ClassLoginRequired, e.Code == "invalid_user_password", e.Code == "password_leaked":
		e.Class, e.Hint = ClassLoginRequired, "it is not sent again until it changes: correct the subject token and its type, or log in again"
		if password {
			e.Hint = "it is not sent again until it changes: correct username or password, or log in again"
		}
	case e.Class == ClassRequest:
		e.RetryAfter = max(e.RetryAfter, askPause)
	}
}

// rejectCredential ends a request that was refused for what it was asked with. The
// refusal is stored, so that a restart does not repeat it. A grant that lives
// stays, as does an access token that is valid.
func (x *exchange) rejectCredential(ctx context.Context, g *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if e.Class == ClassRequest && e.Code != "mfa_required" && !x.w.isOwn() {
		return nil, c.failed(x.w, e)
	}
	c.sortAsk(e)
	switch {
	case e.Class == ClassRequest:
		c.shut(c.ownKey(), e)
		c.fail(e)
		return nil, e
	case e.Class != ClassLoginRequired:
		return nil, c.failed(x.w, e)
	case x.prior != nil && x.prior.State != GrantDead && x.prior.RefreshToken != "":
		return nil, e // a login by hand that failed
	}
	n := x.prior
	if n == nil {
		if n = g.clone(); n.Generation == 0 {
			n.LoggedIn = time.Time{}
		}
	}
	n.State, n.Refused, n.Failure = GrantDead, c.credentialHash(c.kind.credentials, x.sent), c.failureOf(e)
	c.note(ctx, x.l, n)
	c.cfg.Log.Error("the tenant has refused what was asked with", "grant", c.cfg.Source.source(), "code", e.Code)
	return nil, c.failed(x.w, e)
}

// refusal is why a dead grant cannot be used, and what helps.
func (c *Client) refusal(g *Grant) *Error {
	e := &Error{Op: "token", Class: ClassLoginRequired, Description: "the tenant has refused the refresh token"}
	if g.Failure != nil {
		e.Code, e.Err = g.Failure.Code, errors.New(g.Failure.Description)
	}
	c.nameSetting(e)
	if c.kind.credentials != nil && g.Refused != "" && g.Failure != nil {
		e.Description = g.Failure.Description
		c.sortAsk(e)
	}
	return e
}

// noRedirect is the redirect policy of every request that carries a secret.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
