package flow

import (
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	backoffMin    = 500 * time.Millisecond
	backoffMax    = time.Minute
	retryAfterMax = 15 * time.Minute
)

// backoff delays attempts after a failure: by 0.5 s, growing to 60 s, with
// jitter, or as long as the provider says.
type backoff struct {
	failures int
	until    time.Time
	err      *Error // the failure
	forced   bool   // a forced refresh ignores it
}

// extend starts the next delay after a failure; jitter is in [0, 1).
func (g *backoff) extend(now time.Time, err *Error, jitter float64) {
	top := backoffMax
	if g.failures < 7 {
		top = min(top, backoffMin<<g.failures)
	}
	wait := backoffMin + time.Duration(jitter*float64(top-backoffMin))
	g.failures++
	if err.RetryAfter > 0 {
		wait = err.RetryAfter // already bounded
	}
	g.until, g.err, g.forced = now.Add(wait), err, false
}

// end returns when the delay ends, zero if there is none.
func (g *backoff) end() time.Time {
	if g == nil {
		return time.Time{}
	}
	return g.until
}

// active returns the failure while its delay lasts, with the time left, and nil
// afterwards.
func (g *backoff) active(now time.Time) *Error {
	if g == nil || g.err == nil || !now.Before(g.until) {
		return nil
	}
	left := g.until.Sub(now)
	if left > retryAfterMax { // the clock was set back
		return nil
	}
	e := *g.err
	e.RetryAfter = left
	return &e
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3: seconds or a date) or,
// if the rate limit is used up, Auth0's X-RateLimit-Reset (Unix seconds).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 32); err == nil && s >= 0 {
		return bounded(time.Duration(s) * time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return bounded(t.Sub(now))
	}
	if s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil && h.Get("X-RateLimit-Remaining") == "0" {
		return bounded(time.Unix(s, 0).Sub(now))
	}
	return 0
}

func bounded(d time.Duration) time.Duration { return max(0, min(d, retryAfterMax)) }

// fraction returns a random number in [0, 1) from r, or 0.5 if r fails: a missing
// jitter is not worth an error.
func fraction(r io.Reader) float64 {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0.5
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}
