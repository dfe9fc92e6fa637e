package mock

import (
	"slices"
	"strings"

	"example.com/tokend/pkg/mock/tenant"
)

// tokenExchange is Custom Token Exchange (RFC 8693,
// https://auth0.com/docs/authenticate/custom-token-exchange). A real tenant runs an
// Action to find the user. Here the subject token is the user's user_id, e-mail
// address or username.
func (t *Tenant) tokenExchange(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	subject, kind := r.Get("subject_token"), r.Get("subject_token_type")
	switch {
	case subject == "":
		return nil, missing("subject_token")
	case kind == "":
		return nil, missing("subject_token_type")
	case kind == accessTokenType:
		return nil, notAllowed(tenant.GrantTokenExchange).withReason("the mock does not have on-behalf-of token exchange")
	case reservedType(kind):
		return nil, refuse("invalid_request", "subject_token_type "+clip(kind)+" is in a reserved namespace")
	}
	key := attemptKey("exchange", client.ClientID)
	if t.blocked(key, c.now) {
		return nil, refuse("too_many_attempts", "We have detected suspicious login behavior and further attempts will be "+
			"blocked. Please contact the administrator.")
	}
	u := t.st.userByLogin(subject)
	if u == nil {
		t.failed(key, c.now)
		return nil, refuse("invalid_grant", "The subject token is invalid").withReason("the subject token is not a user_id, email or username of the tenant")
	}
	delete(t.st.attempts, key)
	aud := t.requestedAPI(r.parameters)
	if aud != "" && t.api(c.issuer, aud) == nil {
		return nil, refuse("access_denied", "Service not found: "+clip(aud))
	}
	asked := uniqueFields(r.Get("scope"))
	if len(asked) == 0 {
		asked = []string{"openid", "profile", "email"}
	}
	g := grant{client: client.ClientID, user: u.UserID, audience: aud, gty: tenant.GrantTokenExchange, entry: c.id}
	g.scopes = t.grantable(asked, client, t.api(c.issuer, aud), u, g.organization)
	g.scopes = slices.DeleteFunc(g.scopes, func(s string) bool { return s == "offline_access" })
	if bad := t.constrain(c.issuer, client, &g, r.proof); bad != nil {
		return nil, bad
	}
	o := t.prepare(c, g)
	return func() {
		t.respond(c, o, func(access, _ string) object {
			return object{
				{"access_token", access},
				{"expires_in", int(o.lifetime().Seconds())},
				{"scope", strings.Join(g.scopes, " ")},
				{"token_type", g.tokenType()},
			}
		})
	}, nil
}

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name

// reservedType reports whether a subject_token_type is in a namespace that a Custom
// Token Exchange Profile cannot have.
func reservedType(kind string) bool {
	return slices.ContainsFunc([]string{
		"http://auth0.com", "https://auth0.com", "http://okta.com", "https://okta.com", "urn:ietf", "urn:auth0", "urn:okta",
	}, func(namespace string) bool {
		rest, found := strings.CutPrefix(strings.ToLower(kind), namespace)
		return found && (rest == "" || rest[0] == ':' || rest[0] == '/')
	})
}
