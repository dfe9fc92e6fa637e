package flow

import (
	"fmt"
	"time"
)

const (
	shortLife     = time.Second     // a token that lives no longer is as good as expired on arrival; exp has whole seconds, so one of 2 s lives longer than 1 s
	shortDistance = 2 * time.Second // lifetimes have whole seconds: two answers this close may end at one time
	shortGain     = time.Second     // for the same reason no gain
)

// stall counts successes in a row that have brought no time.
type stall struct {
	count  int
	lasted bool // by tokens that live, and end no later than the one before
}

const lifetimeHint = "raise the token lifetime of the API"

// noGain says why a token of a successful answer has brought no time, compared
// with was, which it replaces, or returns nil. Each further refresh would come as
// soon as the pauses allow, and spend a refresh token for nothing.
func noGain(was, t *Token) *Error {
	e := &Error{Op: "refresh", Class: ClassBadResponse, Status: 200, Hint: lifetimeHint}
	life := t.Expiry.Sub(t.Obtained)
	switch {
	case life <= shortLife:
		e.Description = fmt.Sprintf("the provider's tokens live %v", life)
	case was != nil && t.Obtained.Sub(was.Obtained) > shortDistance && t.Expiry.Sub(was.Expiry) <= shortGain:
		e.Description = "the provider's new token ends no later than the one before, at " + t.Expiry.UTC().Format(time.RFC3339)
	default:
		return nil
	}
	return e
}

// tokenFor returns the token of g that an answer to w replaces, or nil.
func tokenFor(g *Grant, w want) *Token {
	for _, t := range g.Tokens {
		if t.Audience == w.audience && sameSet(t.requested, w.scopes) {
			return t
		}
	}
	return nil
}

// stallKey is the key of the pause of w, the same for a login.
func (c *Client) stallKey(w want) string {
	if w.isOwn() {
		return c.ownKey()
	}
	return w.key
}

// stall holds the next request for w back after a success that has brought no
// time: for 1, 2, 4 … 15 minutes, unless somebody forces it. A provider that
// repeats its token has another one when that has ended, so that the pause ends
// no later than the token t (nil: there is none), and then begins at a minute.
func (c *Client) stall(w want, t *Token, e *Error) {
	key, now := c.stallKey(w), c.cfg.Now()
	c.mu.Lock()
	if len(c.stalls) > 1000 { // callers choose the keys
		clear(c.stalls)
	}
	row := c.stalls[key]
	lasts := t != nil && t.Expiry.Sub(t.Obtained) > shortLife
	if row.lasted != lasts {
		row = stall{lasted: lasts}
	}
	row.count++
	c.stalls[key] = row
	e.RetryAfter = probePause(row.count)
	if lasts {
		e.RetryAfter = max(shortDistance, min(e.RetryAfter, t.Remaining(now)+shortGain))
	}
	c.gates[key] = &gate{until: now.Add(e.RetryAfter), err: e, forced: true}
	c.mu.Unlock()
	log := c.cfg.Log.Warn
	if row.count > 1 { // said already
		log = c.cfg.Log.Info
	}
	log("a refresh brought no time", "reason", e.Description, "hint", e.Hint, "audience", w.audience, "in_a_row", row.count, "next", now.Add(e.RetryAfter))
}

// unstall ends the row of successes that brought no time.
func (c *Client) unstall(w want) {
	c.mu.Lock()
	delete(c.stalls, c.stallKey(w))
	c.mu.Unlock()
}
