package flow

import (
	"fmt"
	"time"
)

const (
	shortLife     = time.Second     // a token that lives no longer counts as expired on arrival; exp has whole seconds, so one of 2 s lives longer than 1 s
	shortDistance = 2 * time.Second // lifetimes have whole seconds: two answers this close may have the same expiry
	shortGain     = time.Second     // for the same reason not a gain
)

// noGainRun counts consecutive refreshes that gained no time.
type noGainRun struct {
	count int
	live  bool // the tokens are valid, but expire no later than the previous one
}

const lifetimeHint = "raise the token lifetime of the API"

// noGain returns an error if the token of a successful refresh gains no time over
// was, which it replaces. Repeating such a refresh would only use up refresh
// tokens.
func noGain(was, t *Token) *Error {
	e := &Error{Op: "refresh", Class: ClassBadResponse, Status: 200, Hint: lifetimeHint}
	life := t.Expiry.Sub(t.Obtained)
	switch {
	case life <= shortLife:
		e.Description = fmt.Sprintf("the provider's tokens live %v", life)
	case was != nil && t.Obtained.Sub(was.Obtained) > shortDistance && t.Expiry.Sub(was.Expiry) <= shortGain:
		e.Description = "the provider's new token expires no later than the previous one, at " + t.Expiry.UTC().Format(time.RFC3339)
	default:
		return nil
	}
	return e
}

// tokenFor returns the token of g that the answer for w replaces, or nil.
func tokenFor(g *Grant, w want) *Token {
	for _, t := range g.Tokens {
		if t.Audience == w.audience && sameSet(t.requested, w.scopes) {
			return t
		}
	}
	return nil
}

// pauseKey returns the key of the pause for w, the same for a login.
func (c *Client) pauseKey(w want) string {
	if w.isDefault() {
		return c.defaultKey()
	}
	return w.key
}

// pauseAfterNoGain delays the next request for w after a refresh that gained no
// time: for 1, 2, 4 … 15 minutes, unless a refresh is forced. A provider that
// repeats its token issues a new one after the expiry of t (nil: there is no
// token), so the pause ends no later than that; then it starts again at a minute.
func (c *Client) pauseAfterNoGain(w want, t *Token, e *Error) {
	key, now := c.pauseKey(w), c.cfg.Now()
	c.mu.Lock()
	if len(c.noGainRuns) > 1000 { // callers choose the keys
		clear(c.noGainRuns)
	}
	run := c.noGainRuns[key]
	lasts := t != nil && t.Expiry.Sub(t.Obtained) > shortLife
	if run.live != lasts {
		run = noGainRun{live: lasts}
	}
	run.count++
	if c.noGainRuns == nil {
		c.noGainRuns = map[string]noGainRun{}
	}
	c.noGainRuns[key] = run
	e.RetryAfter = probePause(run.count)
	if lasts {
		e.RetryAfter = max(shortDistance, min(e.RetryAfter, t.Remaining(now)+shortGain))
	}
	c.setBackoff(key, &backoff{until: now.Add(e.RetryAfter), err: e, forced: true})
	c.mu.Unlock()
	log := c.log().Warn
	if run.count > 1 { // already warned
		log = c.log().Info
	}
	log("a refresh gained no time", "reason", e.Description, "hint", e.Hint, "audience", w.audience, "in_a_row", run.count, "next", now.Add(e.RetryAfter))
}

// resetNoGain ends the run of refreshes that gained no time.
func (c *Client) resetNoGain(w want) {
	c.mu.Lock()
	delete(c.noGainRuns, c.pauseKey(w))
	c.mu.Unlock()
}
