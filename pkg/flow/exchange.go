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

// run has a token by whatever way the source and the grant leave.
func (x *exchange) run(ctx context.Context, g *Grant, revision int64) (*Token, *Error) {
	c := x.c
	switch s := c.cfg.Source.(type) {
	case AuthorizationCode:
		if g == nil || x.w.signIn || g.RefreshToken == "" {
			return x.signIn(ctx, revision)
		}
	case ClientCredentials:
		if g == nil {
			g = c.blank(revision)
		}
	case Seed:
		if g == nil || c.newSeed(g) && (x.w.signIn || g.State == GrantDead) {
			g = c.blank(revision)
			g.RefreshToken, g.Seed = s.RefreshToken, fingerprint(s.RefreshToken)
		} else if g.State == GrantDead {
			return nil, &Error{
				Op: "login", Class: ClassLoginRequired, Description: "the tenant has refused this seed",
				Hint: seedHint, Remedy: RemedySetting,
			}
		}
	case asker:
		if g == nil || x.w.signIn || g.State == GrantDead {
			g = x.anew(g, revision)
		}
	}
	if t, e := x.verifyStored(ctx, g); t != nil || e != nil {
		return t, e
	}
	t, e := x.refresh(ctx, g)
	if e != nil && g.State == GrantDead && x.mayAsk(g) {
		return x.refresh(ctx, x.anew(g, g.Revision))
	}
	return t, e
}

// blank is a grant before its first exchange.
func (c *Client) blank(revision int64) *Grant {
	return &Grant{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Revision: revision, State: GrantActive,
		Scopes: c.cfg.Scopes, Rotation: c.cfg.Rotation, LoggedIn: c.cfg.Now().Round(0),
	}
}

// newSeed reports whether the configured seed is another than g came of.
func (c *Client) newSeed(g *Grant) bool {
	s, ok := c.cfg.Source.(Seed)
	return ok && fingerprint(s.RefreshToken) != g.Seed
}

// form is the token request: with the refresh token, or with what the source
// asks with where there is none.
func (x *exchange) form(ctx context.Context, g *Grant) (v url.Values, e *Error) {
	c, audience, scopes := x.c, x.w.audience, x.w.scopes
	s, asks := c.asker()
	_, own := c.cfg.Source.(ClientCredentials)
	switch {
	case own:
		v = url.Values{"grant_type": {"client_credentials"}}
	case asks && g.RefreshToken == "":
		if v, e = x.askForm(ctx, s); e != nil {
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

// refresh spends the refresh token, or asks: intent, one POST, durable save.
// Only what cannot hurt is sent again.
func (x *exchange) refresh(ctx context.Context, g *Grant) (*Token, *Error) {
	form, e := x.form(ctx, g)
	if e != nil {
		return nil, x.c.failed(x.w, e)
	}
	for attempt := 1; ; attempt++ {
		prior := g.clone()
		if e := x.intend(ctx, g); e != nil {
			return nil, x.c.failed(x.w, e)
		}
		sent := x.c.cfg.Now().Round(0)
		a, o, e := x.c.post(ctx, "refresh", x.meta.Token, form)
		x.c.skew(a.date, sent)
		switch o {
		case succeeded:
			return x.accept(ctx, g, a, sent)
		case notSent, refused:
			return x.refuse(ctx, g, prior, e)
		case unknown:
			if !x.again(ctx, g, e, attempt) {
				return nil, x.c.failed(x.w, e)
			}
		}
	}
}

// intend stores, before the request, that this refresh token is about to be
// spent. A replay keeps the time of the first attempt, from which the tenant's
// overlap counts.
func (x *exchange) intend(ctx context.Context, g *Grant) *Error {
	if g.RefreshToken == "" {
		return nil
	}
	if x.l.lost.Load() {
		return storeError("renew", ErrConflict)
	}
	if x.c.uncertain(g) {
		g.Intent.Replays++
	} else {
		g.Intent = &Intent{Time: x.c.cfg.Now().Round(0), Generation: g.Generation, Hash: fingerprint(g.RefreshToken)}
	}
	if err := x.c.save(ctx, x.l, g); err != nil {
		return storeError("intent", err)
	}
	return nil
}

// uncertain reports whether g's refresh token was sent and nothing is known of
// it. Without rotation that does no harm.
func (c *Client) uncertain(g *Grant) bool {
	return g.Intent != nil && g.RefreshToken != "" && g.Intent.Hash == fingerprint(g.RefreshToken) && !c.rotationOff(g)
}

// rotationOff reports whether a refresh token is known to work more than once.
// What an answer has shown counts before what is configured.
func (c *Client) rotationOff(g *Grant) bool {
	if g.Rotation != RotationUnknown {
		return g.Rotation == RotationOff
	}
	return c.cfg.Rotation == RotationOff
}

// replays is how often an uncertain token is sent again within the overlap.
const replays = 2

// deferred holds back the recovery of an uncertain grant. Within the overlap a
// replay yields another successor. Past it, a replay ends the family if the
// first request was taken, so it waits until there is nothing left to lose.
func (c *Client) deferred(g *Grant, now time.Time) *Error {
	if !c.uncertain(g) || g.Intent.Replays < replays && c.inLeeway(g, now) {
		return nil
	}
	e := c.mem.Load().find("", nil)
	if e == nil {
		return nil
	}
	_, mandatory := c.windows(e.life)
	left := e.remaining(now) - mandatory
	if left <= 0 {
		return nil
	}
	err := &Error{
		Op: "refresh", Class: ClassTimeout, RetryAfter: left,
		Description: "what became of the last refresh is unknown; it is repeated when the access token is nearly gone",
	}
	if g.Failure != nil {
		err.Class, err.Code = g.Failure.Class, g.Failure.Code
	}
	return err
}

func (c *Client) inLeeway(g *Grant, now time.Time) bool {
	d := now.Sub(g.Intent.Time)
	return d >= 0 && d < c.cfg.Leeway
}

// again decides, after a request whose outcome is unknown, whether the same
// token is sent again at once.
func (x *exchange) again(ctx context.Context, g *Grant, e *Error, attempt int) bool {
	c := x.c
	early := time.Since(x.began) < postTimeout/2
	g.Failure = c.failureOf(e)
	if g.RefreshToken == "" || c.rotationOff(g) {
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
	return early && g.Intent.Replays == 0 && c.inLeeway(g, c.cfg.Now())
}

// refuse ends a request that has not spent the refresh token.
func (x *exchange) refuse(ctx context.Context, g, prior *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if e.deadToken() {
		return x.die(ctx, g, e)
	}
	if x.asked(g) {
		return x.turnDown(ctx, g, e)
	}
	g.State, g.Intent = prior.State, prior.Intent
	if x.w.isOwn() {
		g.Failure = c.failureOf(e)
	}
	if g.RefreshToken != "" {
		c.note(ctx, x.l, g)
	}
	return nil, c.failed(x.w, e)
}

// die ends a grant whose refresh token the tenant refuses, unless another
// process has moved it on, which a lease that was lost makes possible. The
// token is kept, and a valid access token is still served.
func (x *exchange) die(ctx context.Context, g *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if now, _, err := c.read(ctx); err == nil && now != nil && now.RefreshToken != g.RefreshToken {
		c.adopt(now)
		if t := c.found(x.w); t != nil {
			return t, nil
		}
		return nil, storeError("refresh", ErrConflict)
	}
	e.Class = ClassLoginRequired
	g.State, g.Intent, g.Failure = GrantDead, nil, c.failureOf(e)
	c.note(ctx, x.l, g)
	if _, asks := c.asker(); !asks {
		c.mu.Lock()
		c.relogin = c.cfg.Now().Add(reloginAfter)
		c.mu.Unlock()
	}
	c.cfg.Log.Error("the tenant has refused the refresh token: a login is required", "generation", g.Generation, "code", e.Code)
	return nil, c.failed(x.w, e)
}

// skew warns of a clock that is off, by the tenant's.
func (c *Client) skew(date, sent time.Time) {
	if d := date.Sub(sent); !date.IsZero() && (d > 5*time.Second+time.Since(sent) || d < -6*time.Second) {
		c.cfg.Log.Warn("this machine's clock differs from the tenant's", "by", d.Round(time.Second))
	}
}
