package mock

import (
	"slices"

	"example.com/tokend/pkg/mock/tenant"
)

// password is grant_type=password and password-realm
// (https://auth0.com/docs/api/authentication/resource-owner-password-flow/get-token).
func (t *Tenant) password(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	login, secret := r.Get("username"), r.Get("password")
	aud := t.requestedAPI(r.parameters)
	switch {
	case login == "":
		return nil, missing("username")
	case secret == "":
		return nil, missing("password")
	case r.Get("grant_type") == tenant.GrantPasswordRealm && r.Get("realm") == "":
		return nil, missing("realm")
	case aud != "" && t.api(c.issuer, aud) == nil && aud != c.issuer+"userinfo":
		return nil, refuse("invalid_request", "invalid audience specified for password grant exchange").withHint("%s", t.unknownAPI(aud))
	}
	connection, bad := t.connectionOf(client, r.Get("realm"))
	if bad != nil {
		return nil, bad
	}
	isIn := func(u *tenant.User) bool { return u.Connection == connection }
	if named := t.st.userIn(login, isIn); named != nil {
		login = named.UserID // so that e-mail address and username share one counter
	}
	key := attemptKey("password", login)
	if t.blocked(key, c.now) {
		return nil, refuse("too_many_attempts", "Your account has been blocked after multiple consecutive login attempts.").
			withHint("POST /_mock/users with the user, or POST /_mock/reset, ends the block")
	}
	u := t.authenticate(login, secret, isIn)
	if u == nil {
		t.failed(key, c.now)
		return nil, refuse("invalid_grant", "Wrong email or password.").withHint("%s", t.loginHint(r.Get("username"), connection))
	}
	delete(t.st.attempts, key)
	if u.Blocked {
		return nil, refuse("unauthorized", "user is blocked").withStatus(statusOf("access_denied")).withHint("%s", blockedHint(u))
	}
	if bad := t.denied(tenant.TriggerPostLogin, client.ClientID); bad != nil {
		return nil, bad
	}
	if aud == "" {
		aud = t.st.settings.DefaultAudience
	}
	asked := uniqueFields(r.Get("scope"))
	if t.api(c.issuer, aud) == nil {
		aud = ""
		if len(asked) == 0 || len(asked) == 1 && asked[0] == "openid" {
			asked = []string{"openid", "profile", "email", "address", "phone"} // recorded
		}
	}
	g := grant{client: client.ClientID, user: u.UserID, audience: aud, gty: tenant.GrantPassword, entry: c.id}
	g.scopes = t.grantable(asked, client, t.api(c.issuer, aud), u, g.organization)
	g.narrowed = len(g.scopes) < len(asked)
	return t.afterLogin(c, client, r, g, func() {})
}

// afterLogin returns the tokens of a user's grant, unless that needs a second factor
// or a proof of possession. It calls done before it issues them.
func (t *Tenant) afterLogin(c *call, client *tenant.Client, r tokenRequest, g grant, done func()) (func(), *oauthError) {
	issue := func(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
		g := g
		if bad := t.constrain(c.issuer, client, &g, r.proof); bad != nil {
			return nil, bad
		}
		done()
		return t.tokensFor(c, client, g), nil
	}
	if bad := t.mfaRequired(c, client, g.user, issue); bad != nil {
		return nil, bad
	}
	return issue(c, client, r)
}

// connectionOf returns the connection of a password grant: the realm, or the default
// directory. The answer for one that the client may not use is not documented.
func (t *Tenant) connectionOf(client *tenant.Client, realm string) (string, *oauthError) {
	if realm == "" {
		realm = t.st.settings.DefaultDirectory
	}
	if !slices.Contains(t.connectionsOf(client, ""), realm) {
		return "", refuse("invalid_request", "connection "+clip(realm)+" does not exist").
			withHint("client %s can use %s; see enabled_clients", client.ClientID, few(t.connectionsOf(client, "")))
	}
	return realm, nil
}
