package flow

import (
	"context"
	"time"
)

// decision says whether a request may be made for a grant: now, at a later time,
// or only after a person has acted.
type decision struct {
	at       time.Time // zero: only after a person has acted
	why      *Error    // nil: now
	newLogin bool      // the request is a new login
}

// decide says whether a request may be made for the stored grant g. [Client.Get]
// calls it for a caller, [Client.Run] for itself. The result depends on g, the
// configuration and the clock, and on the back-off after a failure that changed
// nothing.
func (c *Client) decide(ctx context.Context, g *Grant, w want) decision {
	now := c.cfg.Now()
	if d := c.blockedBy(ctx, g, w, now); d.why != nil {
		return d
	}
	switch {
	case w.newLogin && !c.loginRepeatsSeed(g) || c.hasUnsaved():
		return decision{at: now}
	case g != nil && g.State == GrantLoggedOut:
		e := loggedOut()
		if c.kind.seed != "" {
			e.Hint, e.Remedy = seedHint, RemedySetting
		}
		return decision{why: e}
	case c.kind.noRefreshToken:
		return decision{at: now}
	case !g.exists() || g.RefreshToken == "" && g.State != GrantDead:
		return c.decideFirst(g, now)
	case g.State == GrantDead:
		return c.decideDead(ctx, g, w, now)
	case g.Moved:
		return decision{why: &Error{
			Op: "token", Class: ClassRestored, Description: "the grant was exported: another store may use its refresh token",
			Hint: c.loginHint() + "; or resume the client, if no other store uses the grant",
		}}
	case g.Restored && !c.rotationOff(g):
		return decision{why: &Error{
			Op: "token", Class: ClassRestored, Description: "an older copy of the store was restored: its refresh token may already be used",
			Hint: c.loginHint() + "; or resume the client, if the token was not used since the copy was made",
		}}
	}
	return c.decideUncertain(g, now)
}

// loginRepeatsSeed reports whether a login would only send the refresh token that
// the client already has: a login from a seed that has not changed.
func (c *Client) loginRepeatsSeed(g *Grant) bool {
	return c.kind.seed != "" && g != nil && g.State != GrantNone && !c.seedChanged(g)
}

// loginHint says how the client gets a new grant.
func (c *Client) loginHint() string {
	if c.kind.seed != "" {
		return seedHint
	}
	return LoginAgain
}

func loggedOut() *Error {
	return &Error{Op: "token", Class: ClassLoginRequired, Description: "the client was logged out", Hint: LoginAgain}
}

// blockedBy returns a decision with an error while the provider rejects the
// client or limits the rate, or during a back-off.
func (c *Client) blockedBy(ctx context.Context, g *Grant, w want, now time.Time) decision {
	if g != nil && g.Rejected != nil && !w.probe {
		r := g.Rejected
		left := r.Next.Sub(now)
		if left > 0 && left <= retryAfterMax && r.Credential == c.clientCredentialHash(ctx) {
			return decision{at: r.Next, why: c.rejection(g, left)}
		}
	}
	if g != nil {
		if left := g.Held.Sub(now); left > 0 && left <= retryAfterMax {
			return decision{at: g.Held, why: failureError(g.Failure, ClassRateLimited, left)}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range []string{"", w.key} {
		if e := c.backoffs[key].active(now); e != nil && !(w.probe && c.backoffs[key].forced) {
			return decision{at: c.backoffs[key].end(), why: e}
		}
	}
	return decision{}
}

// decideFirst decides for a client without a grant or without a refresh token.
func (c *Client) decideFirst(g *Grant, now time.Time) decision {
	if c.kind.unattended {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e := c.backoffs[loginBackoff].active(now); e != nil {
			return decision{at: c.backoffs[loginBackoff].end(), why: e}
		}
		return decision{at: now}
	}
	e := &Error{Op: "token", Class: ClassLoginRequired, Description: "there is no grant"}
	if g.exists() {
		e.Description = "the grant has no refresh token"
		e.Hint = "log in again, with the scope offline_access for a grant that lasts"
	}
	return decision{why: e}
}

// decideDead decides for a grant that the provider has ended. If that needs no
// person, it is replaced, at most once a minute.
func (c *Client) decideDead(ctx context.Context, g *Grant, w want, now time.Time) decision {
	d := decision{why: c.refusal(g)}
	switch {
	case c.seedChanged(g):
		return decision{at: now}
	case c.kind.headless:
		d.newLogin = true
		d.at = now
		if g.Failure != nil {
			d.at = g.Failure.Time.Add(reloginAfter)
		}
		d.at = capWait(d.at, now)
		c.mu.Lock()
		d.at = latest(d.at, c.backoffs[loginBackoff].end())
		c.mu.Unlock()
	case c.kind.credentials != nil && g.Refused == "":
		d.at = capWait(g.LoggedIn.Add(reloginAfter), now)
	case c.kind.credentials != nil:
		if h := c.currentCredentialHash(ctx, g); h != "" && h != g.Refused {
			return decision{at: now}
		}
	}
	if (!d.newLogin || w.relogin) && !d.at.IsZero() && !now.Before(d.at) { // only Run logs in: callers do not wait for it
		d.why = nil
	}
	return d
}

// capWait returns at, or now if at is further away than the longest wait: then
// the clock was set back.
func capWait(at, now time.Time) time.Time {
	if at.Sub(now) > reloginAfter {
		return now
	}
	return at
}

// uncertain reports whether g's refresh token was sent with an unknown outcome.
// Without rotation it does not matter.
func (c *Client) uncertain(g *Grant) bool {
	return g.Intent != nil && g.RefreshToken != "" && g.Intent.Hash == fingerprint(g.RefreshToken) && !c.rotationOff(g)
}

// mayBeInFlight reports whether g's refresh token was sent by a process that may still
// wait for the answer. Only its lease tells.
func (c *Client) mayBeInFlight(g *Grant) bool {
	return g != nil && g.State == GrantActive && c.uncertain(g)
}

// rotationOff reports whether a refresh token is known to work more than once.
// What an answer has shown takes precedence over the configuration.
func (c *Client) rotationOff(g *Grant) bool {
	if g.Rotation != RotationUnknown {
		return g.Rotation == RotationOff
	}
	return c.cfg.Rotation == RotationOff
}

// maxReplays is how often an uncertain token is sent again within the overlap.
const maxReplays = 2

// decideUncertain delays the recovery of an uncertain grant. Within the overlap a
// replay yields another successor: the first replay is sent at once, the second
// in the second half of the overlap, so that a short outage does not use up both.
// After the overlap a replay revokes the family if the first request was
// processed, so it waits until the access token is about to expire.
func (c *Client) decideUncertain(g *Grant, now time.Time) decision {
	at := c.replayAt(g, now)
	if !at.After(now) {
		return decision{at: at}
	}
	return decision{at: at, why: c.outcomeUnknown(g, at, now)}
}

// replayAt returns when the token of an uncertain grant is sent again: now or
// earlier if nothing delays it.
func (c *Client) replayAt(g *Grant, now time.Time) time.Time {
	if !c.uncertain(g) {
		return now
	}
	if in := g.Intent; in.Replays < maxReplays && c.inLeeway(g, now) {
		if in.Replays == 0 {
			return now
		}
		return latest(now, in.Time.Add(c.cfg.Leeway*11/20))
	}
	e := c.mem.Load().find("", nil)
	if e == nil {
		return now
	}
	_, mandatory := c.windows(e.life)
	return now.Add(max(0, e.remaining(now)-mandatory))
}

// outcomeUnknown returns the error for a refresh with an unknown outcome.
func (c *Client) outcomeUnknown(g *Grant, at, now time.Time) *Error {
	e := failureError(g.Failure, ClassTimeout, at.Sub(now))
	e.Op = "refresh"
	e.Description = "the last refresh may or may not have reached the provider; retrying at " + at.UTC().Format(time.RFC3339)
	e.Hint = "to retry now, " + c.loginHint()
	return e
}

// failedUnknown is failed for a request with an unknown outcome. If the token is not sent
// again soon, the error says what helps: trying again would only return outcomeUnknown.
func (c *Client) failedUnknown(ctx context.Context, w want, g *Grant, e *Error) *Error {
	now := c.cfg.Now()
	at := c.replayAt(g, now)
	if at.Sub(now) > time.Minute {
		e.Hint = "the provider may have used the refresh token, so it is not sent again until " + at.UTC().Format(time.RFC3339) +
			"; to retry now, " + c.loginHint()
	}
	own := *c.failed(ctx, w, e) // the back-off keeps e
	own.RetryAfter = max(own.RetryAfter, at.Sub(now))
	return &own
}

// inLeeway reports whether a replay that is sent now arrives within the overlap.
func (c *Client) inLeeway(g *Grant, now time.Time) bool {
	return !now.Before(g.Intent.Time) && now.Before(c.leewayEnds(g))
}

// leewayEnds returns the end of the overlap, less the time that a request needs
// to arrive.
func (c *Client) leewayEnds(g *Grant) time.Time {
	return g.Intent.Time.Add(c.cfg.Leeway - min(c.cfg.Leeway/10, 2*time.Second))
}

// exchangeTimeout returns how long a refresh may take. With an overlap it is a
// third of it, so that two replays that time out fit in.
func (c *Client) exchangeTimeout(g *Grant) time.Duration {
	if c.cfg.Leeway == 0 || g.RefreshToken == "" || c.rotationOff(g) {
		return postTimeout
	}
	return max(shortestTimeout, min(postTimeout, c.cfg.Leeway/3))
}

const shortestTimeout = 2 * time.Second

// ShortLeeway is the overlap below which a lost answer may not be recovered in
// time, because the lease of a stopped process and two requests take as long.
const ShortLeeway = 10 * time.Second

// failureError returns the error of a stored failure.
func failureError(f *Failure, class Class, left time.Duration) *Error {
	e := &Error{Op: "token", Class: class, RetryAfter: left}
	if f != nil {
		e.Class, e.Code, e.Description, e.Hint, e.Remedy = f.Class, f.Code, f.Description, f.Hint, f.Remedy
	}
	return e
}

// rejection returns the error of a client that the provider rejects, until the
// next probe.
func (c *Client) rejection(g *Grant, left time.Duration) *Error {
	return failureError(g.Failure, ClassClientRejected, left)
}

// Pauses between the probes of a client that the provider rejects.
const (
	probeMin = time.Minute
	probeMax = 15 * time.Minute
)

// probePause returns the pause before the nth probe, counted from 1: 1, 2, 4 … 15
// minutes.
func probePause(n int) time.Duration {
	if n < 5 {
		return probeMin << (n - 1)
	}
	return probeMax
}

// reject records in g that the provider rejects the client, and when to probe
// again: after 1, 2, 4 … 15 minutes, or at once with another credential.
func (c *Client) reject(ctx context.Context, g *Grant, e *Error, credential string) {
	r := &rejected{Probes: 1, Credential: credential}
	if g.Rejected != nil && g.Rejected.Credential == credential {
		r.Probes = g.Rejected.Probes + 1
	}
	pause := probePause(r.Probes)
	e.RetryAfter = pause
	r.Next = c.cfg.Now().Round(0).Add(pause)
	g.Rejected, g.Failure = r, c.failureOf(e)
	c.log().ErrorContext(ctx, "the provider rejects the client", "code", e.Code, "status", e.Status, "next_probe", r.Next)
}

// Retry lets a client that the provider has rejected send one request now, for
// example after a change of the configuration.
func (c *Client) Retry() {
	c.mu.Lock()
	c.probe = true
	c.mu.Unlock()
	c.wake()
}

func (c *Client) hasUnsaved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaved != nil
}
