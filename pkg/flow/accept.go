package flow

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// accept takes a good answer: first it is made durable, then verified, then served.
func (x *exchange) accept(ctx context.Context, g *Grant, a answer, sent time.Time) (*Token, *Error) {
	c := x.c
	switch {
	case x.asked(g):
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
		return nil, x.unusable(ctx, g, a, why)
	}
	no := noGain(tokenFor(g, x.w), t)
	if no != nil && x.w.isOwn() {
		g.Failure = c.failureOf(no)
	}
	g.Tokens = replace(g.Tokens, t, sent)
	if e := c.persist(ctx, x.f, x.l, g); e != nil {
		if t := c.found(x.w); t != nil { // another process has stored a later one
			return c.serve(x.w, t), nil
		}
		return nil, c.failed(x.w, e)
	}
	c.cfg.Log.Info("refreshed", "generation", g.Generation, "audience", t.Audience, "scope", t.Scope,
		"expiry", t.Expiry, "rotation", g.Rotation)
	served, e := t, (*Error)(nil)
	if t.unverified {
		served, e = x.confirm(ctx, g, t)
	} else {
		c.serve(x.w, t)
	}
	switch {
	case no != nil:
		c.stall(x.w, t, no)
	case e == nil:
		c.unstall(x.w)
	}
	return served, e
}

// unusable ends a request whose answer has no access token to serve. Its refresh
// token is kept, where it can be; a grant that it does not renew stays. The next
// such request would be as useless, so that a pause follows.
func (x *exchange) unusable(ctx context.Context, g *Grant, a answer, why string) *Error {
	c := x.c
	e := &Error{Op: "refresh", Class: ClassBadResponse, Status: 200, Description: why}
	if a.lifeless || a.fault == "" { // else it has another fault
		e.Hint = lifetimeHint
	}
	if g.RefreshToken != "" {
		g.Failure = c.failureOf(e)
		_ = c.persist(ctx, x.f, x.l, g)
	}
	c.stall(x.w, nil, e)
	c.setFailure(e)
	return e
}

// serve notes the success of w and returns its token.
func (c *Client) serve(w want, t *Token) *Token {
	c.mu.Lock()
	delete(c.gates, w.key)
	if w.signIn {
		delete(c.gates, c.ownKey())
	}
	c.mu.Unlock()
	c.succeeded()
	return t
}

// token makes the access token of an answer, or says why there is none to serve.
func (c *Client) token(a answer, sent time.Time, generation int64, w want) (*Token, string) {
	if a.fault != "" {
		return nil, a.fault
	}
	t := &Token{
		AccessToken: Secret(a.access), TokenType: "Bearer", Scope: a.scope, Audience: w.audience, IDToken: Secret(a.id),
		Obtained: sent, Generation: generation, requested: w.scopes, unverified: a.id != "",
	}
	if !a.scoped { // RFC 6749 section 5.1: absent when it is the one asked for
		t.Scope = strings.Join(w.scopes, " ")
		if w.isOwn() {
			t.Scope = strings.Join(c.cfg.Scopes, " ")
		}
	}
	own, known := ownLifetime(a, sent)
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
		c.guess()
	}
	return t, ""
}

// ownLifetime returns how long an access token that is a JWT lives by its own
// exp. It is measured on the provider's clock, the answer's Date, so that a wrong
// local clock does not matter; without a Date, from when the request was sent.
func ownLifetime(a answer, sent time.Time) (d time.Duration, known bool) {
	exp, ok := peekExpiry(a.access)
	if !ok {
		return 0, false
	}
	from := a.date
	if early := sent.Sub(from); from.IsZero() || early > 0 && early < time.Second {
		from = sent // a Date has whole seconds: the clocks agree, and this one is more exact
	}
	d = exp.Sub(from)
	return d, d < maxLifetime // else it is not in seconds
}

// guess logs, once, that the tenant does not say how long its tokens live.
func (c *Client) guess() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.guessed {
		c.cfg.Log.Warn("the tenant sends no expires_in: a default lifetime is used", "lifetime", c.cfg.Lifetime)
	}
	c.guessed = true
}

// verifyStored verifies a token that was stored and not verified: the keys
// could not be had, or a crash came between. Without one it returns nil, nil.
func (x *exchange) verifyStored(ctx context.Context, g *Grant) (*Token, *Error) {
	for _, t := range g.Tokens {
		if !t.unverified || t.Audience != x.w.audience || !sameSet(t.requested, x.w.scopes) || t.AccessToken == x.w.seen {
			continue
		}
		if _, mandatory := x.c.windows(t.Expiry.Sub(t.Obtained)); t.Remaining(x.c.cfg.Now()) > mandatory {
			return x.confirm(ctx, g, t)
		}
	}
	return nil, nil
}

// confirm verifies the ID token of a stored answer, and serves the answer. An
// ID token that is refused takes its access token with it; the refresh token
// stays, as the tenant has rotated it, and the token before is still served.
func (x *exchange) confirm(ctx context.Context, g *Grant, t *Token) (*Token, *Error) {
	c, n := x.c, g.clone()
	id, err := c.idp.verify(ctx, "refresh", t.IDToken.Reveal(), expected{subject: g.Subject, accessToken: t.AccessToken.Reveal()})
	if err != nil {
		e := asError("refresh", err)
		if e.Op != "refresh" {
			return nil, c.failed(x.w, e) // the keys could not be had: verified at the next attempt
		}
		n.Tokens = without(n.Tokens, t)
		n.Failure = c.failureOf(e)
		c.note(ctx, x.l, n)
		return nil, c.failed(x.w, e)
	}
	good := *t
	good.unverified = false
	n.Tokens = replace(n.Tokens, &good, c.cfg.Now())
	n.Subject = cmp.Or(n.Subject, id.subject)
	if x.w.isOwn() {
		n.IDToken = t.IDToken
	}
	if !id.authTime.IsZero() {
		n.AuthTime = id.authTime
	}
	c.note(ctx, x.l, n)
	return c.serve(x.w, &good), nil
}

func without(tokens []*Token, t *Token) []*Token {
	var kept []*Token
	for _, o := range tokens {
		if o != t {
			kept = append(kept, o)
		}
	}
	return kept
}

// failureOf is the memory of e.
func (c *Client) failureOf(e *Error) *Failure {
	f := &Failure{Time: c.cfg.Now().Round(0), Class: e.Class, Code: e.Code, Description: e.Description, Hint: e.Hint, Remedy: e.Remedy}
	if f.Description == "" && e.Err != nil {
		f.Description = e.Err.Error()
	}
	return f
}

// failed notes the failure of w and returns it: it holds further attempts back.
// When something to send could not be read here, Run alone is held back: for a
// caller it is read again at once.
func (c *Client) failed(w want, e *Error) *Error {
	if e.local {
		c.shut(localGate, e)
		e.RetryAfter = 0
		c.fail(e)
		return e
	}
	if e.Class == ClassRequest && !w.isOwn() {
		c.shut(w.key, e)
		return e
	}
	switch e.Class {
	case ClassRequest:
		c.shut(w.key, e)
	case ClassLoginRequired, ClassLeaseBusy, ClassClientRejected:
	default:
		c.shut("", e)
	}
	c.fail(e)
	return e
}

func (c *Client) shut(key string, e *Error) {
	now, jitter := c.cfg.Now(), fraction(c.cfg.Rand)
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gates[key]
	if g == nil {
		if len(c.gates) > 1000 { // callers choose the keys
			clear(c.gates)
		}
		g = &gate{}
		c.gates[key] = g
	}
	g.close(now, e, jitter)
	e.RetryAfter = g.until.Sub(now)
}

// fail makes e what Status shows.
func (c *Client) fail(e *Error) {
	f := c.failureOf(e)
	c.cfg.Log.Warn("failed", "op", e.Op, "class", e.Class, "code", e.Code, "status", e.Status, "retry_after", e.RetryAfter,
		"reason", f.Description, "hint", f.Hint)
	c.setFailure(e)
}

func (c *Client) setFailure(e *Error) {
	f := c.failureOf(e)
	c.mu.Lock()
	c.failure = f
	c.mu.Unlock()
}

// succeeded forgets earlier failures, but for a store that still lacks the grant.
func (c *Client) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved != nil {
		return
	}
	c.failure = nil
	delete(c.gates, "")
	delete(c.gates, localGate)
}
