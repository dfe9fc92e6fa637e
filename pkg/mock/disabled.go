package mock

// Endpoints of features that are off by default. Every recorded tenant lists them in
// discovery.

// register is POST /oidc/register: dynamic registration is off by default
// (https://auth0.com/docs/get-started/applications/dynamic-client-registration).
func (t *Tenant) register(c *call) {
	t.refuseToken(c, refuse("access_denied", "Dynamic client registration is not enabled"))
}

// mfaChallenge is POST /mfa/challenge: no user of the mock has a second factor, so no
// mfa_token is valid.
func (t *Tenant) mfaChallenge(c *call) {
	r, bad := c.tokenRequest()
	switch {
	case bad != nil:
	case r.Get("mfa_token") == "":
		bad = missing("mfa_token")
	default:
		bad = refuse("invalid_grant", "Malformed mfa_token")
	}
	t.refuseToken(c, bad)
}
