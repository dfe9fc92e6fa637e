package management

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Token is what an access token for the API says.
type Token struct {
	Subject  string
	ClientID string
	Scopes   []string
}

// Authenticate reads the Authorization headers of a request. Open verifies the signature
// of a token and returns its claims. The answer is nil if the token is valid.
func Authenticate(headers []string, issuer string, now time.Time, open func(string) (map[string]any, bool)) (Token, *Answer) {
	if len(headers) == 0 {
		return refused(refuse(http.StatusUnauthorized, "", "Missing authentication"))
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || strings.Count(token, ".") != 2 {
		return refused(refuse(http.StatusBadRequest, "Bearer", "Bad HTTP authentication header format"))
	}
	claims, valid := open(token)
	iss, _ := claims["iss"].(string)
	if !valid || iss != issuer || !names(claims["aud"], issuer+"api/v2/") {
		return refused(badToken("Invalid token"))
	}
	if exp, _ := claims["exp"].(float64); !time.Unix(int64(exp), 0).After(now) {
		return refused(badToken("Expired token received for JSON Web Token validation"))
	}
	var t Token
	scope, _ := claims["scope"].(string)
	t.Scopes = strings.Fields(scope)
	t.Subject, _ = claims["sub"].(string)
	for _, name := range []string{"azp", "client_id"} {
		if id, ok := claims[name].(string); ok {
			t.ClientID = id
		}
	}
	return t, nil
}

func refused(err *Error) (Token, *Answer) {
	a := refusal(err)
	return Token{}, &a
}

func badToken(text string) *Error {
	e := refuse(http.StatusUnauthorized, "", "%s", text)
	e.Attributes = map[string]any{"error": text}
	return e
}

// names reports whether an aud claim, a text or a list, has the audience.
func names(aud any, audience string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == audience
	case []any:
		return slices.ContainsFunc(aud, func(a any) bool { return a == audience })
	}
	return false
}

// checkScope returns an error unless the token has a scope of the endpoint. Scopes of
// the current user open the user's own paths only.
func (c *call) checkScope() error {
	var lacking []string
	for _, s := range c.endpoint.Scope {
		own := strings.Contains(s, ":current_user")
		has := c.has(s) || s == "update:current_user_metadata" && c.has("create:current_user_metadata")
		if has && (!own || len(c.params) > 0 && c.params[0] == c.Subject) {
			return nil
		}
		lacking = append(lacking, s)
	}
	return refuse(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: %s", strings.Join(lacking, ","))
}

func (c *call) has(scope string) bool { return slices.Contains(c.Scopes, scope) }
