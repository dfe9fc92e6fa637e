package flow

import (
	"slices"
	"time"
)

// snapshot is the grant in memory. It is immutable, so a reader needs one atomic
// load and no lock.
type snapshot struct {
	grant   *Grant // nil: none is stored
	entries []entry
}

// entry is a token with what is needed to notice that the clock was set back: at
// the time at, whose monotonic reading is kept, the token was still valid for
// left.
type entry struct {
	token *Token
	life  time.Duration
	left  time.Duration
	at    time.Time
}

// remaining returns how long the token is valid, by the wall clock or by the
// monotonic clock, whichever is less. It returns 0 if the wall clock leaves more
// than the whole lifetime, because then the clock was set back.
func (e *entry) remaining(now time.Time) time.Duration {
	wall := e.token.Expiry.Sub(now)
	if wall > e.life+time.Minute {
		return 0
	}
	return min(wall, e.left-now.Sub(e.at))
}

// windows returns how long before expiry a refresh is tried, and how long before
// it callers wait for one: the configured times, scaled down for short-lived
// tokens.
func (c *Client) windows(life time.Duration) (advisory, mandatory time.Duration) {
	return min(c.cfg.Advisory, life/3), min(c.cfg.Mandatory, life/10)
}

// satisfies reports whether the token is valid for at least want. If want is
// longer than the lifetime of tokens, a token in the first tenth of its life
// satisfies it, so that not every call refreshes.
func (c *Client) satisfies(e *entry, want time.Duration) bool {
	_, mandatory := c.windows(e.life)
	left := e.remaining(c.cfg.Now())
	return left > 0 && left >= max(min(want, e.life-e.life/10), mandatory)
}

// nonDefault returns audience and scopes of a request, empty if they are the
// client's default.
func (c *Client) nonDefault(r Request) (audience string, scopes []string) {
	if r.Audience != c.cfg.Audience {
		audience = r.Audience
	}
	if !sameSet(r.Scopes, c.cfg.Scopes) {
		scopes = r.Scopes
	}
	return audience, scopes
}

// find returns the entry for audience and scopes as returned by
// [Client.nonDefault].
func (s *snapshot) find(audience string, scopes []string) *entry {
	if s == nil {
		return nil
	}
	for i := range s.entries {
		e := &s.entries[i]
		if e.token.Audience == audience && sameSet(e.token.requested, scopes) {
			return e
		}
	}
	return nil
}

// sameSet reports whether a and b have the same elements. It does not allocate;
// scopes are few.
func sameSet(a, b []string) bool {
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			return false
		}
	}
	return true
}

// setSnapshot keeps g in memory. Known tokens keep the clock reading of when they
// arrived.
func (c *Client) setSnapshot(g *Grant) {
	old, now := c.mem.Load(), c.cfg.Now()
	s := &snapshot{}
	if g != nil {
		s.grant = g.clone()
		for _, t := range g.Tokens {
			if t.unverified {
				continue
			}
			e := entry{token: t, life: t.Expiry.Sub(t.Obtained), left: t.Expiry.Sub(now), at: now}
			if was := old.find(t.Audience, t.requested); was != nil && was.token.AccessToken == t.AccessToken && was.token.Expiry.Equal(t.Expiry) {
				e = *was
			}
			s.entries = append(s.entries, e)
		}
	}
	c.mem.Store(s)
}

const maxTokens = 32 // per grant; the ones that expire first are dropped

// replace returns tokens with t instead of the token for the same audience and
// scopes, without expired ones.
func replace(tokens []*Token, t *Token, now time.Time) []*Token {
	var kept []*Token
	for _, o := range tokens {
		same := o.Audience == t.Audience && sameSet(o.requested, t.requested)
		if same && (o.unverified || !t.unverified) || now.After(o.Expiry) {
			continue
		}
		kept = append(kept, o)
	}
	kept = append(kept, t)
	if len(kept) > maxTokens {
		slices.SortStableFunc(kept, func(a, b *Token) int { return b.Expiry.Compare(a.Expiry) })
		kept = kept[:maxTokens]
	}
	return kept
}
