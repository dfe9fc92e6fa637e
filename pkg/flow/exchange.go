package flow

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// exchange is one run of the refresh protocol (docs/rotation.md), under the
// lease.
type exchange struct {
	c              *Client
	f              *flight
	l              *heldLease
	meta           *metadata
	w              want
	began          time.Time
	prior          *Grant // the grant that a new one replaces
	sentCredential Secret // the credential in the request
}

// run gets a token in the way that the source and the grant allow.
func (x *exchange) run(ctx context.Context, g *Grant, revision int64) (*Token, *Error) {
	c := x.c
	x.l.replaces = loginOf(g)
	switch s := c.cfg.Source.(type) {
	case AuthorizationCode:
		if !g.exists() || x.w.newLogin || g.RefreshToken == "" {
			return x.logInHeadless(ctx, g, revision)
		}
	case ClientCredentials:
		if !g.exists() {
			g = c.emptyGrant(g, revision)
		}
	case Seed:
		if !g.exists() || c.seedChanged(g) && (x.w.newLogin || g.State == GrantDead) {
			g = c.emptyGrant(g, revision)
			g.State, g.RefreshToken, g.Seed = GrantActive, s.RefreshToken, fingerprint(s.RefreshToken)
		} else if g.State == GrantDead {
			return nil, &Error{
				Op: "login", Class: ClassLoginRequired, Description: "the provider rejected this seed",
				Hint: seedHint, Remedy: RemedySetting,
			}
		}
	case credentialSource:
		if !g.exists() || x.w.newLogin || g.State == GrantDead {
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

// emptyGrant returns a grant before its first exchange. It keeps row.Rejected.
func (c *Client) emptyGrant(row *Grant, revision int64) *Grant {
	g := &Grant{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Revision: revision, State: GrantNone,
		Scopes: c.cfg.Scopes, Rotation: c.cfg.Rotation, LoggedIn: c.cfg.Now().Round(0),
	}
	if row != nil {
		g.Rejected, g.Reported = row.Rejected, row.Reported
	}
	return g
}

// seedChanged reports whether the configured seed differs from the one of g.
func (c *Client) seedChanged(g *Grant) bool {
	return c.kind.seed != "" && fingerprint(c.kind.seed) != g.Seed
}

// form returns the token request: with the refresh token, or without one as the
// source asks for it.
func (x *exchange) form(ctx context.Context, g *Grant) (v url.Values, e *Error) {
	c, audience, scopes := x.c, x.w.audience, x.w.scopes
	switch {
	case c.kind.noRefreshToken:
		v = url.Values{"grant_type": {"client_credentials"}}
	case c.kind.credentials != nil && g.RefreshToken == "":
		if v, e = x.credentialForm(ctx, c.kind.credentials); e != nil {
			return nil, e
		}
	default:
		v = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken.Reveal()}}
		setParams(v, audience, scopes)
		c.setResources(v, audience)
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
	c.setResources(v, audience)
	return v, nil
}

// setResources names the APIs of a request for the client's own audience (RFC 8707
// section 2). A token for another audience is not for them.
func (c *Client) setResources(v url.Values, audience string) {
	if len(c.cfg.Resources) > 0 && (audience == "" || audience == c.cfg.Audience) {
		v["resource"] = slices.Clone(c.cfg.Resources)
	}
}

func setParams(v url.Values, audience string, scopes []string) {
	if audience != "" {
		v.Set("audience", audience)
	}
	if len(scopes) > 0 {
		v.Set("scope", strings.Join(scopes, " "))
	}
}

// refresh stores the intent, sends one POST and stores the result. It repeats a
// request only if that does no harm.
func (x *exchange) refresh(ctx context.Context, g *Grant) (*Token, *Error) {
	c := x.c
	form, e := x.form(ctx, g)
	if e == nil {
		e = c.credentialError(ctx) // before the intent: without the credential nothing is sent
	}
	if e != nil {
		return nil, c.failed(ctx, x.w, e)
	}
	ctx, release, e := c.provider.admit(ctx, "refresh") // before the intent, where the overlap begins
	if e != nil {
		return nil, c.failed(ctx, x.w, e)
	}
	defer release()
	for attempt := 1; ; attempt++ {
		state, intent := g.State, g.Intent
		if e := x.saveIntent(ctx, g); e != nil {
			return nil, c.failed(ctx, x.w, e)
		}
		credential := c.clientCredentialHash(ctx)
		sent := c.cfg.Now().Round(0)
		a, o, e := c.post(context.WithoutCancel(ctx), "refresh", x.meta.Token, form, x.sendOptions(g))
		c.skew(a.date, sent)
		switch o {
		case succeeded:
			return x.accept(ctx, g, a, sent)
		case unknown:
			if x.replayNow(ctx, g, e, attempt) {
				continue
			}
			return nil, c.failedUnknown(ctx, x.w, g, e)
		case notSent, refused:
			g.State, g.Intent = state, intent
			if e.Class == ClassClientRejected && attempt == 1 && c.clientCredentialHash(ctx) != credential {
				continue // the secret has changed since
			}
			return x.handleRefusal(ctx, g, e, credential)
		}
	}
}

// sendOptions returns the options of the request for g: a refresh token is sent
// only under the lease.
func (x *exchange) sendOptions(g *Grant) sendOptions {
	opts := sendOptions{timeout: x.c.exchangeTimeout(g)}
	if g.RefreshToken != "" {
		opts.checkLease = x.l.check
	}
	return opts
}

// saveIntent stores that this refresh token is about to be sent. A replay keeps
// the time of the first attempt, where the provider's overlap begins.
func (x *exchange) saveIntent(ctx context.Context, g *Grant) *Error {
	if g.RefreshToken == "" {
		return nil
	}
	if e := x.l.check(); e != nil {
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

// replayNow records an unknown outcome and decides whether the same token is sent
// again at once.
func (x *exchange) replayNow(ctx context.Context, g *Grant, e *Error, attempt int) bool {
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
			c.saveBestEffort(ctx, x.l, g)
		}
		return false
	}
	g.State = GrantUncertain
	c.saveBestEffort(ctx, x.l, g)
	c.log().WarnContext(ctx, "the outcome of a refresh is unknown", "generation", g.Generation, "class", e.Class, "replays", g.Intent.Replays)
	return g.Intent.Replays == 0 && c.inLeeway(g, c.cfg.Now())
}

// handleRefusal handles an answer that did not use up the refresh token.
func (x *exchange) handleRefusal(ctx context.Context, g *Grant, e *Error, credential string) (*Token, *Error) {
	c := x.c
	if e.deadToken() {
		return x.markDead(ctx, g, e)
	}
	if e.Class == ClassRateLimited && e.RetryAfter > 0 {
		g.Held, g.Failure = c.cfg.Now().Round(0).Add(e.RetryAfter), c.failureOf(e)
		c.saveBestEffort(ctx, x.l, g)
		return nil, c.failed(ctx, x.w, e)
	}
	if e.Class == ClassClientRejected {
		c.reject(ctx, g, e, credential)
		c.saveBestEffort(ctx, x.l, g)
		return nil, c.failed(ctx, x.w, e)
	}
	if x.usesCredential(g) {
		return x.rejectCredential(ctx, g, e)
	}
	if x.w.isDefault() {
		g.Failure = c.failureOf(e)
	}
	if g.RefreshToken != "" {
		c.saveBestEffort(ctx, x.l, g)
	}
	return nil, c.failed(ctx, x.w, e)
}

// markDead ends a grant whose refresh token the provider rejects, unless another
// process has refreshed it, which a lost lease makes possible. The token stays
// stored, and a valid access token is still served.
func (x *exchange) markDead(ctx context.Context, g *Grant, e *Error) (*Token, *Error) {
	c := x.c
	if now, _, err := c.read(ctx); err == nil && now != nil && now.RefreshToken != g.RefreshToken {
		c.setSnapshot(now)
		if t := c.cachedFor(x.w); t != nil {
			return t, nil
		}
		return nil, storeError("refresh", ErrConflict)
	}
	e.Class = ClassLoginRequired
	g.State, g.Intent, g.Failure = GrantDead, nil, c.failureOf(e)
	c.saveBestEffort(ctx, x.l, g)
	c.log().ErrorContext(ctx, "the provider rejected the refresh token: a login is required", "generation", g.Generation, "code", e.Code)
	return nil, c.failed(ctx, x.w, e)
}

// skew warns if this machine's clock differs from the provider's.
func (c *Client) skew(date, sent time.Time) {
	if d := date.Sub(sent); !date.IsZero() && (d > 5*time.Second+time.Since(sent) || d < -6*time.Second) {
		c.log().Warn("this machine's clock differs from the provider's", "by", d.Round(time.Second))
	}
}
