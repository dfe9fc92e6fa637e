package format

import (
	"context"
	"strconv"
	"strings"
	"time"

	"example.com/tokend/pkg/tokend"
)

// gcpExecutable is an executable that sources Google credentials, see
// https://google.aip.dev/auth/4117. A failure is also an answer.
func gcpExecutable(ctx context.Context, p Process, r Request) ([]byte, error) {
	answer, err := p.subjectToken(ctx, r)
	if err != nil {
		code, text := p.Report(err)
		answer = map[string]any{
			"version": 1, "success": false,
			"code": strconv.Itoa(code), "message": strings.ReplaceAll(text, "\n", "; "),
		}
	}
	return line(string(encoded(answer))), nil
}

// The subject token types of RFC 8693 section 3 that are supported.
const (
	jwtType     = "urn:ietf:params:oauth:token-type:jwt"
	idTokenType = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // a name, not a token
)

// subjectToken gets the token of type GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE: the access
// token, which is a JWT for an API of the tenant's, or the ID token.
func (p Process) subjectToken(ctx context.Context, r Request) (map[string]any, error) {
	kind := p.Getenv("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE")
	if kind == "" {
		kind = jwtType
	}
	if kind != jwtType && kind != idTokenType {
		return nil, errorf(Configuration, jwtType+" for the access token, "+idTokenType+" for the ID token",
			"subject_token_type %q is not supported", kind)
	}
	var token string
	var expires time.Time
	var err error
	if r.IDToken = kind == idTokenType; r.IDToken {
		token, expires, err = p.freshIDToken(ctx, r)
	} else {
		var t *tokend.Token
		if t, err = p.fetch(ctx, r); err == nil {
			token, expires = t.AccessToken.Reveal(), t.ExpiresAt
		}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"version": 1, "success": true, "token_type": kind, "id_token": token, "expiration_time": expires.Unix(),
	}, nil
}

// freshIDToken returns the ID token. If it expires too soon, one refresh gets another:
// it may live shorter than the access token, whose expiry the service watches.
func (p Process) freshIDToken(ctx context.Context, r Request) (string, time.Time, error) {
	s, err := p.Connect(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	t, err := p.token(ctx, s, r)
	if err != nil {
		return "", time.Time{}, err
	}
	enough := p.Now().Add(max(r.MinValidity, time.Minute))
	expires, err := idTokenExpiry(t)
	if err != nil || expires.After(enough) {
		return t.IDToken.Reveal(), expires, err
	}
	if _, err := s.Refresh(ctx, tokend.RefreshRequest{Client: r.Client}); err != nil {
		return "", expires, err
	}
	if t, err = p.token(ctx, s, r); err != nil {
		return "", expires, err
	}
	if expires, err = idTokenExpiry(t); err == nil && !expires.After(enough) {
		err = errorf(Configuration, "raise its lifetime at the provider",
			"the ID token of client %s expires at %s, too soon", r.Client, expiry(expires))
	}
	return t.IDToken.Reveal(), expires, err
}

// idTokenExpiry reads exp; the service has verified the token.
func idTokenExpiry(t *tokend.Token) (time.Time, error) {
	if t.IDToken == "" {
		return time.Time{}, NoIDToken(t)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if decodeClaims(t.IDToken.Reveal(), &claims) && claims.Exp > 0 {
		return time.Unix(claims.Exp, 0), nil
	}
	return time.Time{}, errorf(Protocol, "", "the ID token of client %s has no readable expiry", t.Client)
}

// NoIDToken is the error of a client without an ID token.
func NoIDToken(t *tokend.Token) error {
	return errorf(Configuration, "add openid to its scopes and log in again", "client %s has no ID token", t.Client)
}
