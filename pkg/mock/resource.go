package mock

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// resource is /_mock/resource/…: a protected API that requires the tenant's first
// audience and the role "agent". It answers 401 for each of three documented
// reasons: malformed, invalid, wrong role. Most APIs answer 403 for the last one; a
// client that refreshes after every 401 would loop here.
func (t *Tenant) resource(c *call) {
	cred, status := c.credentials()
	token := cred.token
	switch {
	case status != http.StatusOK:
		t.refuseResource(c, "invalid_request", "The credentials are malformed, or sent twice")
		return
	case token == "":
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="api"`)
		writeLine(c.w, http.StatusUnauthorized, object{{"error", "invalid_token"}, {"error_description", "No access token was sent"}})
		return
	case strings.Count(token, ".") != 2:
		t.refuseResource(c, "invalid_token", "The access token is malformed")
		return
	}
	claims, ok := t.openJWT(token)
	if !ok {
		t.refuseResource(c, "invalid_token", t.jwtProblem(token))
		return
	}
	if bad := t.checkBinding(c, cred, claims, false); bad != nil {
		c.setReason(bad.Error())
		c.w.Header().Set("WWW-Authenticate", dpopChallenge("api", bad))
		writeLine(c.w, http.StatusUnauthorized, object{{"error", bad.Code}, {"error_description", bad.Description}})
		return
	}
	code, problem := t.mayCall(c, claims)
	if problem != "" {
		t.refuseResource(c, code, problem)
		c.setHint("%s", tokenHint(claims, c.now, problem))
		return
	}
	writeLine(c.w, http.StatusOK, object{
		{"path", strings.TrimPrefix(c.r.URL.Path, controlPrefix+"resource/")}, {"sub", claims["sub"]}, {"scope", claims["scope"]},
	})
}

func (t *Tenant) mayCall(c *call, claims map[string]any) (code, problem string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	exp, _ := claims["exp"].(float64)
	sub, _ := claims["sub"].(string)
	iss, _ := claims["iss"].(string)
	u := t.st.users[sub]
	if lacks := lacksClaim(claims, requiredClaims(true)...); lacks != "" {
		return "invalid_token", lacks
	}
	switch {
	case !time.Unix(int64(exp), 0).After(c.now):
		return "invalid_token", "The access token expired"
	case !t.ownIssuer(c, iss):
		return "invalid_token", "The access token was issued by another issuer"
	case !t.namesAPI(claims["aud"]):
		return "invalid_token", "The access token is for another audience"
	case u == nil || !slices.Contains(u.Roles, eligibleRole):
		return "insufficient_scope", "The user is not eligible: incorrect role"
	}
	return "", ""
}

// namesAPI reports whether an aud claim names the protected API.
func (t *Tenant) namesAPI(aud any) bool {
	switch aud := aud.(type) {
	case string:
		return aud == t.st.firstAPI()
	case []any:
		return slices.ContainsFunc(aud, func(a any) bool { return a == t.st.firstAPI() })
	}
	return false
}

func (t *Tenant) refuseResource(c *call, code, description string) {
	c.setReason(description)
	challenge := fmt.Sprintf(`Bearer realm="api", error=%q, error_description=%q`, code, description)
	if code == "insufficient_scope" {
		challenge = `Bearer realm="api", error="insufficient_scope"`
	}
	c.w.Header().Set("WWW-Authenticate", challenge)
	writeLine(c.w, http.StatusUnauthorized, object{{"error", code}, {"error_description", description}})
}

// writeLine ends the body with a newline: curl shows it in a terminal.
func writeLine(w http.ResponseWriter, status int, o object) {
	write(w, status, jsonType, append(o.bytes(), '\n'))
}
