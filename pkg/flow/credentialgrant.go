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

// Grant types that are not in RFC 6749.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantRealm    = "http://auth0.com/oauth/grant-type/password-realm"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
)

// credentialSource is a source whose token request carries a credential of the
// client's configuration. It needs no person, and its answer may have a refresh
// token.
type credentialSource interface {
	Source
	params() url.Values                                                    // the request's parameters, without secret, audience and scope
	secret(ctx context.Context) (parameter string, value Secret, e *Error) // the parameter with the credential
	static() bool                                                          // the credential does not change by itself
}

func (s Exchange) params() url.Values {
	return url.Values{"grant_type": {grantExchange}, "subject_token_type": {s.SubjectTokenType}}
}

func (s Exchange) secret(ctx context.Context) (string, Secret, *Error) {
	v, e := s.loadSubjectToken(ctx)
	return "subject_token", v, e
}

func (s Exchange) static() bool { return s.SubjectTokenFile != "" }

func (s Password) params() url.Values {
	if s.Realm != "" {
		return url.Values{"grant_type": {grantRealm}, "username": {s.Username}, "realm": {s.Realm}}
	}
	return url.Values{"grant_type": {"password"}, "username": {s.Username}}
}

func (s Password) secret(context.Context) (string, Secret, *Error) { //nolint:unparam // the interface's signature
	return "password", s.Password, nil
}
func (s Password) static() bool { return true }

// credentialForm returns the token request with the source's credential.
func (x *exchange) credentialForm(ctx context.Context, s credentialSource) (form url.Values, e *Error) {
	name, value, e := s.secret(ctx)
	if e != nil {
		return nil, e
	}
	form, x.sentCredential = s.params(), value
	form.Set(name, value.Reveal())
	return form, nil
}

// credentialHash identifies a credential and the request that it is sent with, so
// that a rejected one is not sent again. A password can be guessed, so its hash
// is slow.
func (c *Client) credentialHash(s credentialSource, value Secret) string {
	if !s.static() {
		value = ""
	}
	v := s.params()
	maps.Copy(v, c.cfg.TokenParams)
	c.setResources(v, "")
	v.Set("secret", value.Reveal())
	v.Set("audience", c.cfg.Audience)
	v.Set("scope", strings.Join(c.cfg.Scopes, " "))
	if _, ok := s.(Password); !ok {
		return fingerprint(Secret(v.Encode()))
	}
	c.hashOnce.Do(func() { c.hashed = passwordHash(c.cfg.Issuer, c.cfg.ClientID, v.Encode()) })
	return c.hashed
}

// passwordHash hashes a password by PBKDF2 (RFC 8018). The result is computed
// once per client.
func passwordHash(issuer, clientID, text string) string {
	key, err := pbkdf2.Key(sha256.New, text, []byte(issuer+" "+clientID), 100_000, sha256.Size)
	if err != nil {
		return "none" // FIPS mode rejects a short salt: a changed password is not noticed
	}
	return base64.RawURLEncoding.EncodeToString(key)
}

// currentCredentialHash returns the hash of the current credential if g has a
// rejected one. It returns "" if there is none, or the credential cannot be read.
func (c *Client) currentCredentialHash(ctx context.Context, g *Grant) string {
	s := c.kind.credentials
	if s == nil || g == nil || g.Refused == "" {
		return ""
	}
	if !s.static() {
		return c.credentialHash(s, "")
	}
	_, value, e := s.secret(ctx)
	if e != nil {
		return ""
	}
	return c.credentialHash(s, value)
}

// newGrant returns an empty grant that replaces g.
func (x *exchange) newGrant(g *Grant, revision int64) *Grant {
	if g.exists() {
		x.prior = g
	}
	return x.c.emptyGrant(g, revision)
}

// usesCredential reports whether the request for g carries the source's
// credential, so that a refusal is about that and not about a refresh token.
func (x *exchange) usesCredential(g *Grant) bool {
	return x.c.kind.credentials != nil && g.RefreshToken == ""
}

// credentialPause is the pause after a request was rejected for its audience,
// scope or the like. Auth0 allows an address six invalid subject tokens an hour
// (https://auth0.com/docs/authenticate/custom-token-exchange/cte-attack-protection).
const credentialPause = retryAfterMax

// classifyCredentialError sets the class and the hint of a refusal of a request
// with a credential.
func (c *Client) classifyCredentialError(e *Error) {
	_, password := c.cfg.Source.(Password)
	switch {
	case e.Code == "mfa_required":
		e.Class, e.Remedy = ClassLoginRequired, RemedySetting
		e.Hint = "this grant cannot answer a second factor: turn MFA off for this application, or use the grant authorization_code or device_code"
	case e.Code == "too_many_attempts" && password:
		e.Class, e.Hint = ClassLoginRequired, "the tenant has blocked the account: unblock it there and correct the password, then log in again"
	case e.Code == "too_many_attempts":
		e.Class, e.RetryAfter = ClassRateLimited, max(e.RetryAfter, credentialPause)
	case e.Class == ClassLoginRequired, e.Code == "invalid_user_password", e.Code == "password_leaked":
		e.Class, e.Hint = ClassLoginRequired, "correct the subject token and its type, or log in again; a rejected token is not retried until it changes"
		if password {
			e.Hint = "correct the username or the password, or log in again; a rejected password is not retried until it changes"
		}
	case e.Class == ClassRequest:
		e.RetryAfter = max(e.RetryAfter, credentialPause)
	}
}

// rejectCredential handles a refusal of the credential. It stores the refusal, so
// that a restart does not repeat the request. A working grant and a valid access
// token are kept.
func (x *exchange) rejectCredential(ctx context.Context, g *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if e.Class == ClassRequest && e.Code != "mfa_required" && !x.w.isDefault() {
		return nil, c.failed(ctx, x.w, e)
	}
	c.classifyCredentialError(e)
	switch {
	case e.Class == ClassRequest:
		c.backOff(c.defaultKey(), e)
		c.fail(ctx, e)
		return nil, e
	case e.Class != ClassLoginRequired:
		return nil, c.failed(ctx, x.w, e)
	case x.prior != nil && x.prior.State != GrantDead && x.prior.RefreshToken != "":
		return nil, e // a failed manual login does not end the grant
	}
	n := x.prior
	if n == nil {
		if n = g.clone(); n.Generation == 0 {
			n.LoggedIn = time.Time{}
		}
	}
	n.State, n.Refused, n.Failure = GrantDead, c.credentialHash(c.kind.credentials, x.sentCredential), c.failureOf(e)
	c.saveBestEffort(ctx, x.l, n)
	c.log().ErrorContext(ctx, "the provider rejected the credential", "grant", c.cfg.Source.source(), "code", e.Code)
	return nil, c.failed(ctx, x.w, e)
}

// refusal returns why a dead grant cannot be used, with a hint.
func (c *Client) refusal(g *Grant) *Error {
	e := &Error{Op: "token", Class: ClassLoginRequired, Description: "the provider rejected the refresh token"}
	if g.Failure != nil {
		e.Code, e.Err = g.Failure.Code, errors.New(g.Failure.Description)
	}
	c.addSettingHint(e)
	if c.kind.credentials != nil && g.Refused != "" && g.Failure != nil {
		e.Description = g.Failure.Description
		c.classifyCredentialError(e)
	}
	return e
}

// noRedirect is the redirect policy of every request that carries a secret.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
