package mock

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// badSignature is the recorded text for a token that /userinfo cannot verify.
const badSignature = "The access token signature could not be validated. A common cause of this is requesting multiple " +
	"audiences for an access token signed with HS256, as that signature scheme requires only a single recipient for " +
	"its security. Please change your API to employ RS256 if you wish to have multiple audiences for your access tokens"

// userinfo is GET and POST /userinfo. Its errors are those of passport-http-bearer:
// plain text, with the reason in WWW-Authenticate.
func (t *Tenant) userinfo(c *call) {
	cred, status := c.credentials()
	token := cred.token
	switch {
	case status != http.StatusOK:
		c.setReason("malformed credentials, two access tokens, or a body too large")
		write(c.w, status, "", []byte(http.StatusText(status)))
		return
	case token == "":
		c.setReason("no token")
		t.challenge(c, "")
		return
	}
	claims, ok := t.openJWT(token)
	if !ok {
		claims, ok = t.openOpaque(token)
	}
	if !ok {
		t.challenge(c, badSignature)
		c.setReason(t.jwtProblem(token))
		return
	}
	// Auth0 documents that it does not check the reuse of a proof here.
	if bad := t.checkBinding(c, cred, claims, t.cfg.Profile == ProfileAuth0); bad != nil {
		c.setReason(bad.Error())
		c.w.Header().Set("WWW-Authenticate", dpopChallenge("Users", bad))
		write(c.w, http.StatusUnauthorized, "", []byte("Unauthorized"))
		return
	}
	u, scopes, profile, problem := t.userOf(c, token, claims)
	if problem != "" {
		t.challenge(c, problem)
		c.setHint("%s", tokenHint(claims, c.now, problem))
		return
	}
	if c.entry.ClientID, _ = claims["azp"].(string); c.entry.ClientID == "" {
		c.entry.ClientID, _ = claims["client_id"].(string) // RFC 9068
	}
	body := append(object{{"sub", u.UserID}}, t.profileClaims(u, scopes)...).with(profile).bytes()
	c.setLimit(10)
	c.w.Header().Set("ETag", weakTag(body))
	write(c.w, http.StatusOK, jsonTypeUTF8, body)
}

func (t *Tenant) challenge(c *call, description string) {
	value := `Bearer realm="Users"`
	if description != "" {
		c.setReason(description)
		value += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, description)
	}
	c.w.Header().Set("WWW-Authenticate", value)
	write(c.w, http.StatusUnauthorized, "", []byte("Unauthorized"))
}

// profile is what an access token shows at /userinfo in addition to the user's claims.
type profile struct {
	claims  object
	expires time.Time // of the access token
}

// keepProfile keeps the claims that Actions set in the ID token: /userinfo shows them as
// they were at the login.
func (t *Tenant) keepProfile(accessToken string, o issuance) {
	if !o.g.has("openid") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(o.id) == 0 {
		delete(t.st.profiles, hash(accessToken)) // two JWTs of one second are equal
		return
	}
	makeRoom(&t.st.room, t.st.profiles, func(p profile) bool { return !o.now.Before(p.expires) }, func(p profile) time.Time { return p.expires })
	t.st.profiles[hash(accessToken)] = profile{o.id, o.now.Add(o.lifetime())}
}

// userOf returns a copy of the user of a verified token, the token's scopes and the
// claims of Actions, or the reason for an error.
func (t *Tenant) userOf(c *call, token string, claims map[string]any) (*tenant.User, []string, object, string) {
	scope, _ := claims["scope"].(string)
	scopes := strings.Fields(scope)
	exp, _ := claims["exp"].(float64)
	sub, _ := claims["sub"].(string)
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.st.users[sub]
	_, revoked := t.st.revoked[hash(token)]
	jwt := strings.Count(token, ".") == 2
	if lacks := lacksClaim(claims, requiredClaims(jwt)...); lacks != "" {
		return nil, nil, nil, lacks
	}
	iss, _ := claims["iss"].(string)
	switch {
	case !time.Unix(int64(exp), 0).After(c.now):
		return nil, nil, nil, "The access token expired"
	case !slices.Contains(scopes, "openid"):
		return nil, nil, nil, "The access token is not meant for /userinfo: openid was not granted"
	case jwt && !t.ownIssuer(c, iss):
		return nil, nil, nil, "The access token was issued by another issuer"
	case jwt && !namesUserinfo(iss, claims):
		return nil, nil, nil, "The access token is not meant for /userinfo: it is for another audience"
	case revoked:
		return nil, nil, nil, "The access token was revoked"
	case u == nil:
		return nil, nil, nil, "The user does not exist"
	}
	cp := *u
	return &cp, scopes, t.st.profiles[hash(token)].claims, ""
}

// namesUserinfo reports whether a JWT is for /userinfo of its issuer. An opaque token
// always is, because only this tenant can decrypt it.
func namesUserinfo(iss string, claims map[string]any) bool {
	list, _ := claims["aud"].([]any)
	return slices.Contains(list, any(iss+"userinfo"))
}

// ownIssuer reports whether an issuer is this tenant's: the request's, or another one
// for which it minted tokens ([Tenant.At]). A signature does not prove it, because
// every tenant has the embedded key.
func (t *Tenant) ownIssuer(c *call, iss string) bool { return iss == c.issuer || t.st.issuers[iss] }
