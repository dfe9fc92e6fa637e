package mock

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

func badCode(reason string) *oauthError {
	return refuse("invalid_grant", "Invalid authorization code").withReason(reason)
}

// exchangeCode is grant_type=authorization_code (RFC 6749 section 4.1.3, RFC 7636).
func (t *Tenant) exchangeCode(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	value := r.Get("code")
	if value == "" {
		return nil, missing("code")
	}
	cd := t.st.codes[hash(value)]
	if cd == nil {
		return nil, badCode("the code was never issued").
			withHint("the code is of another tenant, or was issued before a reset or restart")
	}
	if cd.grant.client != client.ClientID {
		return nil, badCode("the code was issued to another client").
			withHint("the code was issued to client %s %s", cd.grant.client, t.by(cd.entry))
	}
	c.entry.Parent = cd.entry
	if cd.used {
		t.revokeReusedCode(cd, c.now)
		return nil, badCode("the code was used before").withHint("%s", t.usedHint(cd, c.now))
	}
	if !c.now.Before(cd.expires) {
		return nil, badCode("the code has expired").
			withHint("the code expired %s ago on the tenant's clock; it was issued %s", span(c.now.Sub(cd.expires)), t.by(cd.entry))
	}
	if bad := t.checkRedirect(cd, r); bad != nil {
		return nil, bad
	}
	if bad := t.checkVerifier(cd, client, r); bad != nil {
		return nil, bad
	}
	if t.st.users[cd.grant.user] == nil {
		return nil, badCode("the user was deleted").withHint("the tenant no longer has the user %s", cd.grant.user)
	}
	g := cd.grant
	bad := checkKey("authorization code", cd.jkt, r.proof)
	if bad == nil {
		bad = t.constrain(c.issuer, client, &g, r.proof)
	}
	if bad != nil {
		return nil, bad
	}
	cd.used = true
	cd.usedAt, cd.usedBy = c.now, c.id
	o := t.prepare(c, g)
	refresh := ""
	if cd.grant.has("offline_access") && slices.Contains(client.GrantTypes, tenant.GrantRefreshToken) {
		g.nonce = "" // a refreshed ID token has none
		refresh, cd.family = t.newFamily(c, client, g)
	}
	return func() {
		t.respond(c, o, func(access, id string) object {
			t.mu.Lock()
			cd.accessToken = hash(access)
			if cd.reused { // the code was reused while this token was being signed
				t.revokeAccess(cd.accessToken, c.now)
			}
			t.mu.Unlock()
			return o.tokenBody(access, refresh, id, id != "")
		})
	}, nil
}

// revokeReusedCode revokes the tokens of a code that is used again, as RFC 6749
// section 4.1.2 recommends. Auth0 does not document it.
func (t *Tenant) revokeReusedCode(cd *code, now time.Time) {
	if t.cfg.Profile != ProfileStrictOIDC {
		return
	}
	cd.reused = true
	if cd.accessToken != "" {
		t.revokeAccess(cd.accessToken, now)
	}
	if f := t.st.families[cd.family]; f != nil {
		t.revokeFamily(f, "its authorization code was used twice")
	}
}

// revokeAccess makes /userinfo reject an access token.
func (t *Tenant) revokeAccess(hash string, now time.Time) {
	const longest = 30 * 24 * time.Hour // lifetime of an access token at Auth0
	makeRoom(&t.st.room, t.st.revoked, func(since time.Time) bool { return now.Sub(since) > longest }, itself)
	t.st.revoked[hash] = now
}

func (t *Tenant) checkRedirect(cd *code, r tokenRequest) *oauthError {
	sent := r.Get("redirect_uri")
	switch {
	case sent == "" && cd.sentRedirect:
		return refuse("invalid_grant", "redirect_uri is required if it was included in the authorization request.").
			withHint("send redirect_uri=%s, as the authorization request did", cd.redirectURI)
	case sent != "" && sent != cd.redirectURI:
		return refuse("unauthorized_client", fmt.Sprintf(
			"The redirect URI is wrong. You sent %s, and we expected %s", clip(sent), cd.redirectURI)).
			withHint("send the same redirect_uri to /authorize and /oauth/token")
	}
	return nil
}

// checkVerifier checks PKCE. Auth0 documents that third-party clients need it; other
// public clients need it in the strict profile only (RFC 9700 section 2.1.1).
func (t *Tenant) checkVerifier(cd *code, client *tenant.Client, r tokenRequest) *oauthError {
	verifier := r.Get("code_verifier")
	needed := client.Public() && (client.ThirdParty() || t.cfg.Profile == ProfileStrictOIDC)
	switch {
	case cd.challenge == "" && needed:
		return unauthorized("this public client exchanges codes with PKCE only").
			withHint("send code_challenge to /authorize and code_verifier to /oauth/token")
	case cd.challenge == "" && verifier != "":
		return refuse("invalid_grant", "Failed to verify code verifier").withReason("no code_challenge was sent to /authorize").
			withHint("send code_challenge and code_challenge_method=S256 to /authorize")
	case cd.challenge == "":
		return nil
	case verifier == "":
		return refuse("invalid_request", "Parameter 'code_verifier' is required").
			withHint("the authorization request %s had a code_challenge", t.by(cd.entry))
	}
	computed := verifier
	if cd.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		computed = encode(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(computed), []byte(cd.challenge)) != 1 {
		return refuse("invalid_grant", "Failed to verify code verifier").
			withHint("code_verifier does not match the code_challenge (%s) of the login %s; is it of another login?", cd.method, t.by(cd.entry))
	}
	return nil
}
