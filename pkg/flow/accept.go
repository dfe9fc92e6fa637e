package flow

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// accept stores the tokens of an answer, then verifies them, then serves them.
func (x *exchange) accept(ctx context.Context, g *Grant, a answer, sent time.Time) (*Token, *Error) {
	c := x.c
	switch {
	case x.usesCredential(g):
		g.LoggedIn, g.RefreshToken = sent, Secret(a.refresh)
	case g.RefreshToken == "":
	case a.refresh == "" || a.refresh == g.RefreshToken.Reveal():
		g.Rotation = RotationOff
	default:
		g.RefreshToken, g.Rotation = Secret(a.refresh), RotationOn
	}
	g.Generation++
	g.Exchanged, g.State, g.Intent = sent, GrantActive, nil
	g.Failure, g.Rejected, g.Held = nil, nil, time.Time{}
	t, why := c.token(a, sent, g.Generation, x.w)
	if t == nil {
		return nil, x.saveUnusable(ctx, g, a, why)
	}
	no := noGain(tokenFor(g, x.w), t)
	if no != nil && x.w.isDefault() {
		g.Failure = c.failureOf(no)
	}
	g.Tokens = replace(g.Tokens, t, sent)
	if e := c.persist(ctx, x.f, x.l, g); e != nil {
		if t := c.cachedFor(x.w); t != nil { // another process has stored a later token
			return c.serve(x.w, t), nil
		}
		return nil, c.failed(ctx, x.w, e)
	}
	c.log().InfoContext(ctx, "refreshed", "generation", g.Generation, "audience", t.Audience, "scope", t.Scope,
		"expiry", t.Expiry, "rotation", g.Rotation)
	served, e := t, (*Error)(nil)
	if t.unverified {
		served, e = x.verifyAndServe(ctx, g, t)
	} else {
		c.serve(x.w, t)
	}
	switch {
	case no != nil:
		c.pauseAfterNoGain(x.w, t, no)
	case e == nil:
		c.resetNoGain(x.w)
	}
	return served, e
}

// saveUnusable handles an answer without a valid access token. It stores the
// refresh token of the answer, and keeps the grant as it is where the answer
// brought none. The next request would have the same result, so a pause follows.
func (x *exchange) saveUnusable(ctx context.Context, g *Grant, a answer, why string) *Error {
	c := x.c
	e := &Error{Op: "refresh", Class: ClassBadResponse, Status: 200, Description: why}
	if a.noLifetime || a.unusable == "" { // otherwise the lifetime is not the problem
		e.Hint = lifetimeHint
	}
	if g.RefreshToken != "" {
		g.Failure = c.failureOf(e)
		_ = c.persist(ctx, x.f, x.l, g)
	}
	c.pauseAfterNoGain(x.w, nil, e)
	c.setFailure(e)
	return e
}

// serve clears the back-off of w after a success and returns its token.
func (c *Client) serve(w want, t *Token) *Token {
	c.mu.Lock()
	delete(c.backoffs, w.key)
	if w.newLogin {
		delete(c.backoffs, c.defaultKey())
	}
	c.mu.Unlock()
	c.succeeded()
	return t
}

// token returns the access token of an answer, or the reason why it has none.
func (c *Client) token(a answer, sent time.Time, generation int64, w want) (*Token, string) {
	if a.unusable != "" {
		return nil, a.unusable
	}
	t := &Token{
		AccessToken: Secret(a.access), TokenType: "Bearer", Scope: a.scope, Audience: w.audience, IDToken: Secret(a.id),
		Obtained: sent, Generation: generation, requested: w.scopes, unverified: a.id != "",
	}
	if !a.hasScope { // RFC 6749 section 5.1: absent if it is the requested scope
		t.Scope = strings.Join(w.scopes, " ")
		if w.isDefault() {
			t.Scope = strings.Join(c.cfg.Scopes, " ")
		}
	}
	own, known := jwtLifetime(a, sent)
	switch {
	case known && own <= 0:
		return nil, "the access token has expired on arrival"
	case a.lifetime > 0 && known:
		t.Expiry = sent.Add(min(a.lifetime, own))
	case a.lifetime > 0:
		t.Expiry = sent.Add(a.lifetime)
	case known:
		t.Expiry = sent.Add(own)
	default:
		t.Expiry = sent.Add(c.cfg.Lifetime)
		c.warnNoLifetime()
	}
	return t, ""
}

// jwtLifetime returns how long an access token that is a JWT is valid by its exp.
// It compares exp with the Date of the answer, the provider's clock, so that a
// wrong local clock does no harm. Without a Date it counts from when the request
// was sent.
func jwtLifetime(a answer, sent time.Time) (d time.Duration, known bool) {
	exp, ok := peekExpiry(a.access)
	if !ok {
		return 0, false
	}
	from := a.date
	if early := sent.Sub(from); from.IsZero() || early > 0 && early < time.Second {
		from = sent // the clocks agree, and a Date has only whole seconds
	}
	d = exp.Sub(from)
	return d, d < maxLifetime // a larger exp is not in seconds
}

// warnNoLifetime logs, once, that the provider does not say how long its tokens
// live.
func (c *Client) warnNoLifetime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lifetimeWarned {
		c.log().Warn("the provider sends no expires_in: using the default lifetime", "lifetime", c.cfg.Lifetime)
	}
	c.lifetimeWarned = true
}

// verifyStored verifies a token that is stored but not verified yet, because the
// keys were not available or the process crashed. It returns nil, nil if there is
// none.
func (x *exchange) verifyStored(ctx context.Context, g *Grant) (*Token, *Error) {
	for _, t := range g.Tokens {
		if !t.unverified || t.Audience != x.w.audience || !sameSet(t.requested, x.w.scopes) || t.AccessToken == x.w.not {
			continue
		}
		if _, mandatory := x.c.windows(t.Expiry.Sub(t.Obtained)); t.Remaining(x.c.cfg.Now()) > mandatory {
			return x.verifyAndServe(ctx, g, t)
		}
	}
	return nil, nil
}

// verifyAndServe verifies the ID token of a stored answer and serves the answer.
// If the ID token is rejected, its access token is dropped. The refresh token is
// kept, because the provider has rotated it, and the previous access token is
// still served.
func (x *exchange) verifyAndServe(ctx context.Context, g *Grant, t *Token) (*Token, *Error) {
	c, n := x.c, g.clone()
	id, err := c.provider.verify(ctx, "refresh", t.IDToken.Reveal(), expected{subject: g.Subject, accessToken: t.AccessToken.Reveal()})
	if err != nil {
		e := asError("refresh", err)
		if e.Op != "refresh" {
			return nil, c.failed(ctx, x.w, e) // the keys are not available: verified at the next attempt
		}
		n.Tokens = withoutToken(n.Tokens, t)
		n.Failure = c.failureOf(e)
		c.saveBestEffort(ctx, x.l, n)
		return nil, c.failed(ctx, x.w, e)
	}
	good := *t
	good.unverified = false
	n.Tokens = replace(n.Tokens, &good, c.cfg.Now())
	n.Subject = cmp.Or(n.Subject, id.subject)
	if x.w.isDefault() {
		n.IDToken = t.IDToken
	}
	if !id.authTime.IsZero() {
		n.AuthTime = id.authTime
	}
	c.saveBestEffort(ctx, x.l, n)
	return c.serve(x.w, &good), nil
}

func withoutToken(tokens []*Token, t *Token) []*Token {
	var kept []*Token
	for _, o := range tokens {
		if o != t {
			kept = append(kept, o)
		}
	}
	return kept
}
