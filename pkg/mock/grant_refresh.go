package mock

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	refreshTokensPerUser = 200  // and client; the oldest is deleted, without an error
	familyTokens         = 1000 // whose reuse is detected; older ones are unknown
)

// family is all refresh tokens of one authorization.
type family struct {
	id         string
	grant      grant
	created    time.Time
	seen       time.Time // last exchange; the idle lifetime starts here
	generation int       // of the newest token
	rotated    time.Time // when the newest generation began
	revoked    string    // the reason; "" while the family is valid
	ended      time.Time // when it was revoked
	endedBy    string    // journal id of the call that revoked it
	last       string    // journal id of the call that issued the newest token
	tokens     []string  // hashes of its newest tokens
}

// refreshToken is one member of a family; kept by its hash.
type refreshToken struct {
	family     *family
	generation int
	entry      string
}

func badRefresh(reason string) *oauthError {
	return refuse("invalid_grant", "Unknown or invalid refresh token.").withReason(reason)
}

// newFamily issues the first refresh token of an authorization.
func (t *Tenant) newFamily(c *call, client *tenant.Client, g grant) (token, id string) {
	g.gty = tenant.GrantRefreshToken // of the access tokens to come
	f := &family{id: "rtf_" + t.randomString(20), grant: g, created: c.now, seen: c.now, generation: 1}
	for _, old := range excess(&t.st.room, t.st.families, func(f *family) bool { return t.longOver(f, c.now) }, func(f *family) time.Time { return f.seen }) {
		t.forgetFamily(t.st.families[old])
	}
	t.st.families[f.id] = f
	owner := ownerKey(client.ClientID, g.user)
	t.st.owned[owner] = append(t.st.owned[owner], f)
	t.dropOldest(owner)
	return t.newRefreshToken(c, f), f.id
}

func ownerKey(client, user string) string { return client + "\x00" + user }

func (t *Tenant) newRefreshToken(c *call, f *family) string {
	value := "v1." + t.randomString(61)
	h := hash(value)
	t.st.refresh[h] = &refreshToken{family: f, generation: f.generation, entry: c.id}
	if f.tokens = append(f.tokens, h); len(f.tokens) > familyTokens {
		delete(t.st.refresh, f.tokens[0])
		f.tokens = f.tokens[1:]
	}
	f.last = c.id
	return value
}

// dropOldest deletes families above the limit without an error, as Auth0 does.
func (t *Tenant) dropOldest(owner string) {
	for len(t.st.owned[owner]) > refreshTokensPerUser {
		t.forgetFamily(t.st.owned[owner][0])
	}
}

// forgetFamily deletes a family without a trace.
func (t *Tenant) forgetFamily(f *family) {
	for _, h := range f.tokens {
		delete(t.st.refresh, h)
	}
	delete(t.st.families, f.id)
	owner := ownerKey(f.grant.client, f.grant.user)
	t.st.owned[owner] = slices.DeleteFunc(t.st.owned[owner], func(o *family) bool { return o == f })
	if len(t.st.owned[owner]) == 0 {
		delete(t.st.owned, owner)
	}
}

func (t *Tenant) revokeFamily(f *family, reason string) {
	if f.revoked == "" {
		f.revoked = reason
	}
}

// exchangeRefresh is grant_type=refresh_token
// (https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation).
func (t *Tenant) exchangeRefresh(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
	value := r.Get("refresh_token")
	if value == "" {
		return nil, missing("refresh_token")
	}
	rt := t.st.refresh[hash(value)]
	if rt == nil {
		return nil, badRefresh("the refresh token was never issued, or was the oldest of more than 200")
	}
	f := rt.family
	if f.grant.client != client.ClientID {
		return nil, badRefresh("the refresh token was issued to another client")
	}
	c.entry.Parent = rt.entry
	if bad := t.checkRefresh(c, client, rt, r); bad != nil {
		return nil, bad
	}
	g, bad := t.narrow(c.issuer, client, f.grant, r)
	if bad == nil {
		bad = t.denied(tenant.TriggerPostLogin, client.ClientID)
	}
	if bad == nil {
		bad = t.mfaRequired(c, client, f.grant.user, func(c *call, client *tenant.Client, r tokenRequest) (func(), *oauthError) {
			if bad := t.checkRefresh(c, client, rt, r); bad != nil { // it may have been used since
				return nil, bad
			}
			return t.renew(c, client, rt, r, g)
		})
	}
	if bad != nil {
		return nil, bad
	}
	return t.renew(c, client, rt, r, g)
}

// checkRefresh checks the key, the lifetimes and the rotation of a refresh token. The
// key comes first, so that a thief without it cannot end the family.
func (t *Tenant) checkRefresh(c *call, client *tenant.Client, rt *refreshToken, r tokenRequest) *oauthError {
	if bad := checkKey("refresh token", rt.family.grant.jkt, r.proof); bad != nil {
		return bad
	}
	if bad := t.checkFamily(c, client, rt.family); bad != nil {
		return bad
	}
	if client.RefreshPolicy().RotationType != "rotating" {
		return nil
	}
	return t.checkGeneration(c, client, rt)
}

// renew returns new tokens for a refresh token that was checked.
func (t *Tenant) renew(c *call, client *tenant.Client, rt *refreshToken, r tokenRequest, g grant) (func(), *oauthError) {
	if bad := t.constrain(c.issuer, client, &g, r.proof); bad != nil {
		return nil, bad
	}
	f := rt.family
	f.seen = c.now
	successor := ""
	if client.RefreshPolicy().RotationType == "rotating" {
		if rt.generation == f.generation {
			f.generation++
			f.rotated = c.now
		}
		successor = t.newRefreshToken(c, f)
	}
	o := t.prepare(c, g)
	return func() {
		t.respond(c, o, func(access, id string) object { return o.tokenBody(access, successor, id, true) })
	}, nil
}

func (t *Tenant) checkFamily(c *call, client *tenant.Client, f *family) *oauthError {
	p := client.RefreshPolicy()
	u := t.st.users[f.grant.user]
	switch {
	case f.revoked != "":
		return badRefresh("the family is revoked: "+f.revoked).withHint("%s", t.endedHint(f, c.now))
	case p.ExpirationType == "expiring" && !p.InfiniteTokenLifetime && lifetimeOver(c.now, f.created, p.TokenLifetime):
		return badRefresh("the absolute lifetime is over").
			withHint("the login was %s ago on the tenant's clock; refresh_token.token_lifetime of client %s says when to log in again", span(c.now.Sub(f.created)), client.ClientID)
	case p.ExpirationType == "expiring" && !p.InfiniteIdleTokenLifetime && lifetimeOver(c.now, f.seen, p.IdleTokenLifetime):
		return badRefresh("the idle lifetime is over").
			withHint("the last refresh was %s ago on the tenant's clock; refresh_token.idle_token_lifetime of client %s says how often to refresh", span(c.now.Sub(f.seen)), client.ClientID)
	case u == nil:
		return refuse("invalid_grant", "The refresh_token was generated for a user who doesn't exist anymore.")
	case u.Blocked:
		return refuse("invalid_grant", "user is blocked").withHint("%s", blockedHint(u))
	}
	return nil
}

// longOver reports whether a family can be forgotten: no token of it has worked for a day.
func (t *Tenant) longOver(f *family, now time.Time) bool {
	client := t.st.clients[f.grant.client]
	if client == nil {
		return true
	}
	p, before := client.RefreshPolicy(), now.Add(-24*time.Hour)
	return f.revoked != "" && !before.Before(f.seen) && !before.Before(f.ended) || p.ExpirationType == "expiring" &&
		(!p.InfiniteTokenLifetime && lifetimeOver(before, f.created, p.TokenLifetime) ||
			!p.InfiniteIdleTokenLifetime && lifetimeOver(before, f.seen, p.IdleTokenLifetime))
}

// lifetimeOver reports whether a lifetime in seconds (0: Auth0's default) is over.
func lifetimeOver(now, since time.Time, seconds int) bool {
	if seconds == 0 {
		seconds = tenant.DefaultRefreshLifetime
	}
	return now.Sub(since) >= time.Duration(seconds)*time.Second
}

// checkGeneration accepts the newest token and, within the overlap period, the one
// before it. Any other token is a reuse, which revokes the whole family.
func (t *Tenant) checkGeneration(c *call, client *tenant.Client, rt *refreshToken) *oauthError {
	f := rt.family
	leeway := time.Duration(client.RefreshPolicy().Leeway) * time.Second
	switch {
	case rt.generation == f.generation:
		return nil
	case rt.generation == f.generation-1 && leeway > 0 && c.now.Sub(f.rotated) <= leeway:
		return nil
	}
	hint := t.reuseHint(rt, leeway, c.now)
	t.revokeFamily(f, "a rotated refresh token was used again (ferrt)")
	f.ended, f.endedBy = c.now, c.id
	return badRefresh("reused: "+f.revoked).withHint("%s", hint)
}

// narrow applies scope and audience of a refresh. It never grants more than the
// login did. Another audience must be listed in the client's policies.
func (t *Tenant) narrow(issuer string, client *tenant.Client, g grant, r tokenRequest) (grant, *oauthError) {
	if aud := r.Get("audience"); aud != "" && aud != g.audience {
		target := slices.IndexFunc(client.RefreshPolicy().Policies, func(p tenant.RefreshTarget) bool { return p.Audience == aud })
		if target < 0 || t.api(issuer, aud) == nil {
			return g, refuse("access_denied", "Service not found: "+clip(aud)).
				withReason("no refresh_token.policies entry of the client names the audience").
				withHint("add %s to refresh_token.policies of client %s, or log in with it", clip(aud), client.ClientID)
		}
		allowed := client.RefreshPolicy().Policies[target].Scope
		g.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(s string) bool { return !slices.Contains(oidcScopes, s) })
		g.scopes = uniqueFields(strings.Join(append(g.scopes, allowed...), " "))
		g.audience = aud
	}
	asked := uniqueFields(r.Get("scope"))
	if len(asked) == 0 {
		asked = g.scopes
	}
	g.scopes = slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !g.has(s) })
	if u := t.st.users[g.user]; u != nil { // roles may have changed since the login
		g.scopes = t.grantable(g.scopes, client, t.api(issuer, g.audience), u, g.organization)
	}
	g.narrowed = len(g.scopes) < len(asked)
	return g, nil
}

// FamilyState is the state of a family of refresh tokens.
type FamilyState struct {
	ID         string    `json:"id"`
	ClientID   string    `json:"client_id"`
	User       string    `json:"user_id"`
	Audience   string    `json:"audience,omitempty"`
	Scope      string    `json:"scope"`
	Created    time.Time `json:"created"`
	Seen       time.Time `json:"seen"`
	Generation int       `json:"generation"` // number of rotations plus one
	Revoked    string    `json:"revoked,omitempty"`
	LastCall   string    `json:"last_call"` // journal id of the call that issued the newest token
}

// Families returns the state of all refresh-token families, oldest first.
func (t *Tenant) Families() []FamilyState {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []FamilyState{}
	for _, f := range t.st.families {
		out = append(out, FamilyState{
			ID: f.id, ClientID: f.grant.client, User: f.grant.user, Audience: f.grant.audience,
			Scope: strings.Join(f.grant.scopes, " "), Created: f.created, Seen: f.seen,
			Generation: f.generation, Revoked: f.revoked, LastCall: f.last,
		})
	}
	slices.SortFunc(out, func(a, b FamilyState) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return out
}
