package flow

import (
	"context"
	"time"
)

// decision is whether a request may be made for a grant: now, from a time on, or
// not before somebody acts.
type decision struct {
	at     time.Time // zero: not before somebody acts
	why    *Error    // nil: now
	signIn bool      // the request is a new login
}

// decide is the one place that says whether a request may be made for the grant
// g, as it is stored. [Client.Get] asks it for a caller, [Client.Run] for itself.
// All that it depends on is in g, in the configuration and on the clock, except
// for the back-off after a failure that changed nothing.
func (c *Client) decide(ctx context.Context, g *Grant, w want) decision {
	now := c.cfg.Now()
	if d := c.heldBack(ctx, g, w, now); d.why != nil {
		return d
	}
	switch {
	case w.signIn && !c.sameSeed(g) || c.hasUnsaved():
		return decision{at: now}
	case g != nil && g.State == GrantLoggedOut:
		e := loggedOut()
		if c.kind.seed != "" {
			e.Hint, e.Remedy = seedHint, RemedySetting
		}
		return decision{why: e}
	case c.kind.direct:
		return decision{at: now}
	case !g.begun() || g.RefreshToken == "" && g.State != GrantDead:
		return c.decideFirst(g, now)
	case g.State == GrantDead:
		return c.decideDead(ctx, g, w, now)
	case g.Restored && !c.rotationOff(g):
		return decision{why: &Error{
			Op: "token", Class: ClassRestored, Description: "an older copy of the store was put back: the refresh token may be a spent one",
			Hint: c.loginHint() + "; or, if the token was not used since that copy was made, resume the client",
		}}
	}
	return c.decideUncertain(g, now)
}

// sameSeed reports whether a login would do no more than send the refresh token
// that the client has already: one that starts from a seed, and it is the same.
func (c *Client) sameSeed(g *Grant) bool {
	return c.kind.seed != "" && g != nil && g.State != GrantNone && !c.newSeed(g)
}

// loginHint is how the client gets a grant.
func (c *Client) loginHint() string {
	if c.kind.seed != "" {
		return seedHint
	}
	return "log in again"
}

func loggedOut() *Error {
	return &Error{Op: "token", Class: ClassLoginRequired, Description: "the client was logged out", Hint: "log in again"}
}

// heldBack is a decision with a reason while the provider refuses the client or
// limits the rate, or after a failure.
func (c *Client) heldBack(ctx context.Context, g *Grant, w want, now time.Time) decision {
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
		if e := c.gates[key].shut(now); e != nil && !(w.probe && c.gates[key].forced) {
			return decision{at: c.gates[key].ends(), why: e}
		}
	}
	return decision{}
}

// decideFirst decides where there is no grant, or one without a refresh token.
func (c *Client) decideFirst(g *Grant, now time.Time) decision {
	if c.kind.unattended {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e := c.gates[loginGate].shut(now); e != nil {
			return decision{at: c.gates[loginGate].ends(), why: e}
		}
		return decision{at: now}
	}
	e := &Error{Op: "token", Class: ClassLoginRequired, Description: "there is no grant"}
	if g.begun() {
		e.Description = "the grant has no refresh token"
		e.Hint = "log in again, with the scope offline_access for a grant that lasts"
	}
	return decision{why: e}
}

// decideDead decides for a grant that the provider has ended: it is replaced
// where that needs no person, at most once a minute.
func (c *Client) decideDead(ctx context.Context, g *Grant, w want, now time.Time) decision {
	d := decision{why: c.refusal(g)}
	switch {
	case c.newSeed(g):
		return decision{at: now}
	case c.kind.headless:
		d.signIn = true
		d.at = now
		if g.Failure != nil {
			d.at = g.Failure.Time.Add(reloginAfter)
		}
		d.at = soonEnough(d.at, now)
		c.mu.Lock()
		d.at = latest(d.at, c.gates[loginGate].ends())
		c.mu.Unlock()
	case c.kind.credentials != nil && g.Refused == "":
		d.at = soonEnough(g.LoggedIn.Add(reloginAfter), now)
	case c.kind.credentials != nil:
		if h := c.currentCredentialHash(ctx, g); h != "" && h != g.Refused {
			return decision{at: now}
		}
	}
	if (!d.signIn || w.relogin) && !d.at.IsZero() && !now.Before(d.at) { // a new login is Run's: a caller does not wait for it
		d.why = nil
	}
	return d
}

// soonEnough returns at, or now when at is further away than a new login ever
// waits: the clock was set back.
func soonEnough(at, now time.Time) time.Time {
	if at.Sub(now) > reloginAfter {
		return now
	}
	return at
}

// uncertain reports whether g's refresh token was sent and its outcome is not
// known. Without rotation that does no harm.
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

// maxReplays is how often an uncertain token is sent again within the overlap.
const maxReplays = 2

// decideUncertain holds back the recovery of an uncertain grant. Within the
// overlap a replay yields another successor: the first is sent at once, the
// second in the second half, so that a short outage does not use up both. Past
// the overlap a replay ends the family if the first request was taken, so it
// waits until there is nothing left to lose.
func (c *Client) decideUncertain(g *Grant, now time.Time) decision {
	at := c.replayAt(g, now)
	if !at.After(now) {
		return decision{at: at}
	}
	return decision{at: at, why: c.outcomeUnknown(g, at, now)}
}

// replayAt is when the token of an uncertain grant is sent again; not after now
// where nothing holds it back.
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

// outcomeUnknown says that it is not known whether the last refresh was taken.
func (c *Client) outcomeUnknown(g *Grant, at, now time.Time) *Error {
	e := failureError(g.Failure, ClassTimeout, at.Sub(now))
	e.Op = "refresh"
	e.Description = "the last refresh may or may not have reached the provider; retrying at " + at.UTC().Format(time.RFC3339)
	e.Hint = "to retry now, " + c.loginHint()
	return e
}

// inLeeway reports whether a replay that is sent now reaches the provider inside
// the overlap.
func (c *Client) inLeeway(g *Grant, now time.Time) bool {
	return !now.Before(g.Intent.Time) && now.Before(c.leewayEnds(g))
}

// leewayEnds is the overlap's end, less what a request needs to arrive.
func (c *Client) leewayEnds(g *Grant) time.Time {
	return g.Intent.Time.Add(c.cfg.Leeway - min(c.cfg.Leeway/10, 2*time.Second))
}

// exchangeTimeout is how long a refresh may take. With an overlap it is a third
// of it, so that two replays that hang fit in.
func (c *Client) exchangeTimeout(g *Grant) time.Duration {
	if c.cfg.Leeway == 0 || g.RefreshToken == "" || c.rotationOff(g) {
		return postTimeout
	}
	return max(shortestTimeout, min(postTimeout, c.cfg.Leeway/3))
}

const shortestTimeout = 2 * time.Second

// ShortLeeway is the overlap below which a lost answer may not be recovered in
// time: the lease of a process that was stopped and two requests take as long.
const ShortLeeway = 10 * time.Second

// failureError is the error of a stored failure.
func failureError(f *Failure, class Class, left time.Duration) *Error {
	e := &Error{Op: "token", Class: class, RetryAfter: left}
	if f != nil {
		e.Class, e.Code, e.Description, e.Hint, e.Remedy = f.Class, f.Code, f.Description, f.Hint, f.Remedy
	}
	return e
}

// rejection is why the client is not asked for, until the next probe.
func (c *Client) rejection(g *Grant, left time.Duration) *Error {
	return failureError(g.Failure, ClassClientRejected, left)
}

// Pauses between the probes of a client that the provider refuses.
const (
	probeMin = time.Minute
	probeMax = 15 * time.Minute
)

// probePause is the pause before the nth probe, from 1: 1, 2, 4 … 15 minutes.
func probePause(n int) time.Duration {
	if n < 5 {
		return probeMin << (n - 1)
	}
	return probeMax
}

// reject stores in g that the provider refuses the client, and when it is asked
// again: after 1, 2, 4 … 15 minutes, at once with another credential.
func (c *Client) reject(g *Grant, e *Error, credential string) {
	r := &rejected{Probes: 1, Credential: credential}
	if g.Rejected != nil && g.Rejected.Credential == credential {
		r.Probes = g.Rejected.Probes + 1
	}
	pause := probePause(r.Probes)
	e.RetryAfter = pause
	r.Next = c.cfg.Now().Round(0).Add(pause)
	g.Rejected, g.Failure = r, c.failureOf(e)
	c.cfg.Log.Error("the provider refuses the client", "code", e.Code, "status", e.Status, "next_probe", r.Next)
}

// Retry lets a client that the provider has refused ask once more now, as after
// a change of the configuration.
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
