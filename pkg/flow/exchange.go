package flow

import (
	"context"
	"maps"
	"net/url"
	"strings"
	"time"
)

// exchange is one turn of the refresh protocol (docs/rotation.md), under the lease.
type exchange struct {
	c     *Client
	f     *flight
	l     *held
	meta  *metadata
	w     want
	began time.Time
	prior *Grant // what a new grant is asked for in the place of
	sent  Secret // what was asked with
}

// run gets a token by whichever way the source and the grant allow.
func (x *exchange) run(ctx context.Context, g *Grant, revision int64) (*Token, *Error) {
	c := x.c
	x.l.replaces = loginOf(g)
	switch s := c.cfg.Source.(type) {
	case AuthorizationCode:
		if !g.begun() || x.w.signIn || g.RefreshToken == "" {
			return x.signIn(ctx, g, revision)
		}
	case ClientCredentials:
		if !g.begun() {
			g = c.blank(g, revision)
		}
	case Seed:
		if !g.begun() || c.newSeed(g) && (x.w.signIn || g.State == GrantDead) {
			g = c.blank(g, revision)
			g.State, g.RefreshToken, g.Seed = GrantActive, s.RefreshToken, fingerprint(s.RefreshToken)
		} else if g.State == GrantDead {
			return nil, &Error{
				Op: "login", Class: ClassLoginRequired, Description: "the provider has refused this seed",
				Hint: seedHint, Remedy: RemedySetting,
			}
		}
	case credentialSource:
		if !g.begun() || x.w.signIn || g.State == GrantDead {
			g = x.newGrant(g, revision)
		}
	}
	if t, e := x.verifyStored(ctx, g); t != nil || e != nil {
		return t, e
	}
	t, e := x.refresh(ctx, g)
	if e != nil && g.State == GrantDead && c.kind.credentials != nil && c.decideDead(ctx, g, x.w, c.cfg.Now()).why == nil {
		return x.refresh(ctx, x.newGrant(g, g.Revision))
	}
	return t, e
}

// blank is a grant before its first exchange. It keeps of row what holds the
// client back.
func (c *Client) blank(row *Grant, revision int64) *Grant {
	g := &Grant{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Revision: revision, State: GrantNone,
		Scopes: c.cfg.Scopes, Rotation: c.cfg.Rotation, LoggedIn: c.cfg.Now().Round(0),
	}
	if row != nil {
		g.Rejected = row.Rejected
	}
	return g
}

// newSeed reports whether the configured seed differs from the one of g.
func (c *Client) newSeed(g *Grant) bool {
	return c.kind.seed != "" && fingerprint(c.kind.seed) != g.Seed
}

// form is the token request: with the refresh token, or with what the source
// asks with where there is none.
func (x *exchange) form(ctx context.Context, g *Grant) (v url.Values, e *Error) {
	c, audience, scopes := x.c, x.w.audience, x.w.scopes
	switch {
	case c.kind.direct:
		v = url.Values{"grant_type": {"client_credentials"}}
	case c.kind.credentials != nil && g.RefreshToken == "":
		if v, e = x.credentialForm(ctx, c.kind.credentials); e != nil {
			return nil, e
		}
	default:
		v = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken.Reveal()}}
		setParams(v, audience, scopes)
		return v, nil
	}
	if audience == "" {
		audience = c.cfg.Audience
	}
	if len(scopes) == 0 {
		scopes = c.cfg.Scopes
	}
	setParams(v, audience, scopes)
	maps.Copy(v, c.cfg.TokenParams)
	return v, nil
}

func setParams(v url.Values, audience string, scopes []string) {
	if audience != "" {
		v.Set("audience", audience)
	}
	if len(scopes) > 0 {
		v.Set("scope", strings.Join(scopes, " "))
	}
}

// refresh sends the refresh token, or asks: intent, one POST, durable save. A
// request is repeated only where that cannot hurt.
func (x *exchange) refresh(ctx context.Context, g *Grant) (*Token, *Error) {
	c := x.c
	form, e := x.form(ctx, g)
	if e == nil {
		e = c.credentialError(ctx) // before the intent: nothing is sent without it
	}
	if e != nil {
		return nil, c.failed(x.w, e)
	}
	ctx, release, e := c.idp.admit(ctx, "refresh") // before the intent, from which the overlap counts
	if e != nil {
		return nil, c.failed(x.w, e)
	}
	defer release()
	for attempt := 1; ; attempt++ {
		state, intent := g.State, g.Intent
		if e := x.intend(ctx, g); e != nil {
			return nil, c.failed(x.w, e)
		}
		credential := c.clientCredentialHash(ctx)
		sent := c.cfg.Now().Round(0)
		a, o, e := c.post(context.WithoutCancel(ctx), "refresh", x.meta.Token, form, x.tries(g))
		c.skew(a.date, sent)
		switch o {
		case succeeded:
			return x.accept(ctx, g, a, sent)
		case unknown:
			if x.again(ctx, g, e, attempt) {
				continue
			}
			return nil, c.failed(x.w, e)
		case notSent, refused:
			g.State, g.Intent = state, intent
			if e.Class == ClassClientRejected && attempt == 1 && c.clientCredentialHash(ctx) != credential {
				continue // the secret has just been changed
			}
			return x.refuse(ctx, g, e, credential)
		}
	}
}

// tries is how the request for g is sent: a refresh token only under the lease.
func (x *exchange) tries(g *Grant) tries {
	how := tries{timeout: x.c.exchangeTimeout(g)}
	if g.RefreshToken != "" {
		how.mine = x.l.mine
	}
	return how
}

// intend stores, before the request, that this refresh token is about to be
// sent. A replay keeps the time of the first attempt, from which the provider's
// overlap counts.
func (x *exchange) intend(ctx context.Context, g *Grant) *Error {
	if g.RefreshToken == "" {
		return nil
	}
	if e := x.l.mine(); e != nil {
		return e
	}
	in := Intent{Time: x.c.cfg.Now().Round(0), Generation: g.Generation, Hash: fingerprint(g.RefreshToken)}
	if x.c.uncertain(g) {
		in = *g.Intent
		in.Replays++
	}
	g.Intent = &in
	if err := x.c.save(ctx, x.l, g); err != nil {
		return storeError("intent", err)
	}
	return nil
}

// again decides, after a request whose outcome is unknown, whether the same
// token is sent again at once.
func (x *exchange) again(ctx context.Context, g *Grant, e *Error, attempt int) bool {
	c := x.c
	g.Failure = c.failureOf(e)
	if g.RefreshToken == "" || c.rotationOff(g) {
		early := time.Since(x.began) < postTimeout/2
		if early && attempt < 3 && e.Class == ClassUnreachable {
			wait := backoffMin/2<<attempt + time.Duration(fraction(c.cfg.Rand)*float64(backoffMin))
			if x.f.pause(ctx, wait) {
				return true
			}
		}
		g.Intent = nil
		if g.RefreshToken != "" {
			c.note(ctx, x.l, g)
		}
		return false
	}
	g.State = GrantUncertain
	c.note(ctx, x.l, g)
	c.cfg.Log.Warn("the outcome of a refresh is unknown", "generation", g.Generation, "class", e.Class, "replays", g.Intent.Replays)
	return g.Intent.Replays == 0 && c.inLeeway(g, c.cfg.Now())
}

// refuse ends a request that has not spent the refresh token.
func (x *exchange) refuse(ctx context.Context, g *Grant, e *Error, credential string) (*Token, *Error) {
	c := x.c
	if e.deadToken() {
		return x.die(ctx, g, e)
	}
	if e.Class == ClassRateLimited && e.RetryAfter > 0 {
		g.Held, g.Failure = c.cfg.Now().Round(0).Add(e.RetryAfter), c.failureOf(e)
		c.note(ctx, x.l, g)
		return nil, c.failed(x.w, e)
	}
	if e.Class == ClassClientRejected {
		c.reject(g, e, credential)
		c.note(ctx, x.l, g)
		return nil, c.failed(x.w, e)
	}
	if x.asked(g) {
		return x.rejectCredential(ctx, g, e)
	}
	if x.w.isOwn() {
		g.Failure = c.failureOf(e)
	}
	if g.RefreshToken != "" {
		c.note(ctx, x.l, g)
	}
	return nil, c.failed(x.w, e)
}

// die ends a grant whose refresh token the provider refuses, unless another
// process has moved it on, which a lost lease makes possible. The token is kept,
// and a valid access token is still served.
func (x *exchange) die(ctx context.Context, g *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if now, _, err := c.read(ctx); err == nil && now != nil && now.RefreshToken != g.RefreshToken {
		c.setSnapshot(now)
		if t := c.found(x.w); t != nil {
			return t, nil
		}
		return nil, storeError("refresh", ErrConflict)
	}
	e.Class = ClassLoginRequired
	g.State, g.Intent, g.Failure = GrantDead, nil, c.failureOf(e)
	c.note(ctx, x.l, g)
	c.cfg.Log.Error("the provider has refused the refresh token: a login is required", "generation", g.Generation, "code", e.Code)
	return nil, c.failed(x.w, e)
}

// skew warns when this machine's clock differs from the provider's.
func (c *Client) skew(date, sent time.Time) {
	if d := date.Sub(sent); !date.IsZero() && (d > 5*time.Second+time.Since(sent) || d < -6*time.Second) {
		c.cfg.Log.Warn("this machine's clock differs from the provider's", "by", d.Round(time.Second))
	}
}
