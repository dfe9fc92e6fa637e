package mock

import "net/http"

// revoke is POST /oauth/revoke: refresh tokens only
// (https://auth0.com/docs/api/authentication/revoke-refresh-token/revoke-refresh-token).
func (t *Tenant) revoke(c *call) {
	r, bad := c.tokenRequest()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	t.mu.Lock()
	bad = t.revokeToken(c, r)
	t.mu.Unlock()
	if bad != nil {
		t.refuseToken(c, bad)
		return
	}
	write(c.w, http.StatusOK, jsonType, nil) // recorded: an empty body with a JSON type
}

func (t *Tenant) revokeToken(c *call, r tokenRequest) *oauthError {
	client, bad := t.authenticateClient(c, r)
	if bad != nil {
		bad.Code = "invalid_client" // documented for this endpoint; /oauth/token has access_denied
		return bad
	}
	token := r.Get("token")
	if token == "" {
		return missing("token")
	}
	rt := t.st.refresh[hash(token)]
	if rt == nil || rt.family.grant.client != client.ClientID {
		c.setReason("unknown token, or token of another client")
		return nil // still 200 (RFC 7009 section 2.2)
	}
	c.entry.Parent = rt.entry
	t.revokeFamily(rt.family, "revoked by the client")
	rt.family.ended, rt.family.endedBy = c.now, c.id
	if t.st.settings.Flags.RevokeDeletesGrant {
		t.deleteGrant(rt.family.grant)
	}
	return nil
}

// deleteGrant revokes every family of the same user, client and audience.
func (t *Tenant) deleteGrant(g grant) {
	for _, f := range t.st.owned[ownerKey(g.client, g.user)] {
		if f.grant.audience == g.audience {
			t.revokeFamily(f, "the grant was deleted")
		}
	}
}
