package mock

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

const defaultLimitWindow = time.Minute // of a rate limit; Auth0's depend on the subscription

// limiter is the token buckets of a rate limit, which fill with the tenant's clock.
type limiter struct {
	limit int           // 0: the recorded limit of the endpoint
	per   time.Duration // in which an empty bucket is full again
	each  bool          // one bucket for each client

	mu      sync.Mutex
	buckets map[string]*bucket
	room    room // of buckets
}

// bucket holds what is left of a limit, in units of time: a call takes per/limit.
type bucket struct {
	left time.Duration
	at   time.Time
}

// limitState is what a limit says to one call.
type limitState struct {
	limit, remaining int
	reset            time.Time     // when the bucket is full, as Auth0's limitd counts it
	wait             time.Duration // until the next call is possible, 0 if this one was
}

// take counts a call and returns the state of its bucket.
func (l *limiter) take(client string, recorded int, now time.Time) limitState {
	limit := l.limit
	if limit == 0 {
		limit = max(recorded, 1)
	}
	if !l.each {
		client = ""
	}
	price := max(l.per/time.Duration(limit), 1)
	full := price * time.Duration(limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	key := strconv.Itoa(limit) + "\x00" + client
	b := l.buckets[key]
	if b == nil {
		makeRoom(&l.room, l.buckets, func(old *bucket) bool { return now.Sub(old.at) >= l.per }, func(old *bucket) time.Time { return old.at })
		b = &bucket{left: full, at: now}
		l.buckets[key] = b
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.left = min(full, b.left+passed)
	}
	b.at = now // also backwards
	s := limitState{limit: limit}
	if b.left >= price {
		b.left -= price
	} else {
		s.wait = price - b.left
	}
	s.remaining = int(b.left / price)
	s.reset = now.Add(full - b.left)
	return s
}

// setLimit sets the recorded headers of a limit: those of a real one, if there is one
// for this call.
func (c *call) setLimit(recorded int) {
	s := limitState{limit: recorded, remaining: recorded - 1, reset: time.Unix(c.now.Unix()+1, 0)}
	if c.limit != nil {
		s = *c.limit
	}
	if s.limit == 0 {
		return
	}
	h := c.w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(s.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(s.remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(wholeSecond(s.reset), 10))
}

// wholeSecond rounds a time up to seconds, so that waiting until then is long enough.
func wholeSecond(at time.Time) int64 { return at.Add(time.Second - 1).Unix() }

// admits reports whether a rate limit lets a call through, and sets the headers. The
// limit of a client's own policy is not in X-RateLimit-*, which report the tenant's.
func (a *Armed) admits(c *call, grantType, client string) bool {
	recorded := c.recorded
	if c.entry.Endpoint == "token" {
		recorded = tokenLimit(grantType)
	}
	s := a.limits.take(client, recorded, c.now)
	if a.limits.each {
		c.clientLimit = &s
		return s.wait == 0
	}
	c.limit = &s
	c.setLimit(0)
	return s.wait == 0
}

// setClientLimit sets the documented headers of a limit of one client
// (https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy).
func (c *call) setClientLimit() {
	s := limitState{limit: 10, wait: time.Second}
	if c.clientLimit != nil {
		s = *c.clientLimit
	}
	wait := strconv.FormatInt(int64((s.wait+time.Second-1)/time.Second), 10)
	h := c.w.Header()
	setDefault(h, "Retry-After", wait)
	setDefault(h, "Auth0-RateLimit", "client;q="+strconv.Itoa(s.limit)+";t="+wait+";r=0")
}

func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}
