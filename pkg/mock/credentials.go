package mock

import (
	"fmt"
	"net/http"
	"strings"
)

// credentials are the access token of a request.
type credentials struct {
	token string
	dpop  bool // sent with the scheme DPoP, not Bearer
}

// credentials returns the token of the header, the form body or the query. A request
// that uses more than one of them gets 400 (RFC 6750 section 2).
func (c *call) credentials() (credentials, int) {
	var cred credentials
	ways := 0
	if h := c.r.Header.Get("Authorization"); h != "" {
		parts := strings.Fields(h)
		if len(parts) != 2 {
			return credentials{}, http.StatusBadRequest
		}
		if dpop := strings.EqualFold(parts[0], "DPoP"); dpop || strings.EqualFold(parts[0], "Bearer") {
			cred, ways = credentials{parts[1], dpop}, 1
		}
	}
	if q := c.query().Get("access_token"); q != "" {
		cred, ways = credentials{token: q}, ways+1
	}
	if c.mediaType() == "application/x-www-form-urlencoded" {
		v, bad := c.form()
		if bad != nil {
			return credentials{}, bad.Status
		}
		if b := v.Get("access_token"); b != "" {
			cred, ways = credentials{token: b}, ways+1
		}
	}
	if ways > 1 {
		return credentials{}, http.StatusBadRequest
	}
	return cred, http.StatusOK
}

// checkBinding requires a proof of the key that the token is bound to, and the scheme
// Bearer for a token that is bound to none (RFC 9449 section 7). With replays, the
// same proof can be used again.
func (t *Tenant) checkBinding(c *call, cred credentials, claims map[string]any, replays bool) *oauthError {
	cnf, _ := claims["cnf"].(map[string]any)
	jkt, _ := cnf["jkt"].(string)
	switch {
	case jkt == "" && !cred.dpop:
		return nil
	case jkt == "":
		return refuse("invalid_token", "The access token is not bound to a key: it is a Bearer token")
	case !cred.dpop:
		return refuse("invalid_token", "The access token is bound to a key: it needs the scheme DPoP and a proof")
	}
	p, bad := c.readProof(cred.token)
	if bad == nil {
		bad = checkKey("access token", jkt, p)
	}
	if bad != nil || replays {
		return bad
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.useProof(c, p)
}

// dpopChallenge is the WWW-Authenticate value for a token that is bound to a key, or
// that was sent as if it were (RFC 9449 section 7.1).
func dpopChallenge(realm string, e *oauthError) string {
	return fmt.Sprintf(`DPoP realm=%q, error=%q, error_description=%q, algs="ES256 RS256"`, realm, e.Code, e.Description)
}
