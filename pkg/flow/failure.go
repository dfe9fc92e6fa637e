package flow

import (
	"context"
	"slices"
	"time"
)

// failureOf returns what is kept and shown of e.
func (c *Client) failureOf(e *Error) *Failure {
	f := &Failure{Time: c.cfg.Now().Round(0), Class: e.Class, Code: e.Code, Description: e.Description, Hint: e.Hint, Remedy: e.Remedy}
	if f.Description == "" && e.Err != nil {
		f.Description = e.Err.Error()
	}
	return f
}

// failed records the error of w, delays further attempts, and returns it. If
// something to send could not be read on this machine, or the store did not answer,
// only Run is delayed: a caller's next request asks again, and before anything is
// sent it has an answer of the store.
func (c *Client) failed(ctx context.Context, w want, e *Error) *Error {
	if e.local {
		c.backOff(localBackoff, e)
		e.RetryAfter = 0
		c.fail(ctx, e)
		return e
	}
	if e.Class == ClassRequest && !w.isDefault() {
		c.backOff(w.key, e)
		return e
	}
	switch e.Class {
	case ClassStoreUnavailable, ClassStoreCorrupt:
		c.backOff(localBackoff, e)
	case ClassRequest:
		c.backOff(w.key, e)
	case ClassLoginRequired, ClassLeaseBusy, ClassClientRejected:
	default:
		c.backOff("", e)
	}
	c.fail(ctx, e)
	return e
}

// backOff delays further attempts with that key.
func (c *Client) backOff(key string, e *Error) {
	now, jitter := c.cfg.Now(), fraction(c.cfg.Rand)
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.backoffs[key]
	if g == nil {
		if len(c.backoffs) > 1000 { // the keys come from callers
			clear(c.backoffs)
		}
		g = &backoff{}
		c.setBackoff(key, g)
	}
	g.extend(now, e, jitter)
	e.RetryAfter = g.until.Sub(now)
}

// setBackoff sets the back-off with that key; c.mu is held.
func (c *Client) setBackoff(key string, g *backoff) {
	if c.backoffs == nil {
		c.backoffs = map[string]*backoff{}
	}
	c.backoffs[key] = g
}

// fail logs e and makes it the failure that Status shows.
func (c *Client) fail(ctx context.Context, e *Error) {
	f := c.failureOf(e)
	c.log().WarnContext(ctx, "failed", "op", e.Op, "class", e.Class, "code", e.Code, "status", e.Status, "retry_after", e.RetryAfter,
		"reason", f.Description, "hint", f.Hint)
	c.setFailure(e)
}

func (c *Client) setFailure(e *Error) {
	f, at := c.failureOf(e), exchangeOf(c.mem.Load())
	if e.local {
		at = nil // no other process can end it
	}
	c.mu.Lock()
	c.failure, c.failedAt = f, at
	c.mu.Unlock()
}

// exchangeID identifies an exchange of a client's grants.
type exchangeID struct {
	loggedIn   time.Time
	generation int64
}

// exchangeOf returns the last exchange of s, zero without a grant.
func exchangeOf(s *snapshot) *exchangeID {
	if s == nil || s.grant == nil {
		return &exchangeID{}
	}
	return &exchangeID{s.grant.LoggedIn, s.grant.Generation}
}

// othersSucceeded clears the failure and the back-off if another process has
// exchanged the refresh token since, or has logged in: g is what it has stored. An
// exchange whose answer is rejected, or not verified yet, ends nothing: otherwise
// processes that all fail would end each other's back-off, and send without a pause.
func (c *Client) othersSucceeded(g *Grant) {
	c.mu.Lock()
	at := c.failedAt
	c.mu.Unlock()
	if at == nil || !g.exists() || g.State != GrantActive || g.LoggedIn.Equal(at.loggedIn) && g.Generation <= at.generation {
		return
	}
	pending := func(t *Token) bool { return t.unverified && t.Generation == g.Generation }
	if g.Failure == nil && !slices.ContainsFunc(g.Tokens, pending) {
		c.succeeded()
	}
}

// succeeded clears the failure and the back-off, unless a grant is still unsaved.
func (c *Client) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved != nil {
		return
	}
	c.failure, c.failedAt = nil, nil
	delete(c.backoffs, "")
	delete(c.backoffs, localBackoff)
}
