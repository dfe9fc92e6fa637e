package mock

import (
	"sync"
	"time"
)

// clock is the tenant's virtual time: the base clock plus an offset, or a frozen
// instant. The tenant reads the time only here.
type clock struct {
	base func() time.Time

	mu     sync.Mutex
	offset time.Duration
	frozen time.Time // zero: running
}

// Between these years every time can be formatted and no difference of two times
// overflows.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func newClock(base func() time.Time) *clock { return &clock{base: base} }

// Now returns the virtual time, without a monotonic part.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *clock) now() time.Time {
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return c.base().Round(0).Add(c.offset).UTC()
}

// Advance moves the time by d, also while it is frozen.
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(c.now().Add(d))
}

// Set sets the current time. The clock continues from there unless it is frozen.
func (c *clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(at)
}

func (c *clock) set(at time.Time) {
	switch {
	case at.Before(earliest):
		at = earliest
	case at.After(latest):
		at = latest
	}
	c.offset += at.Sub(c.now())
	if !c.frozen.IsZero() {
		c.frozen = at.UTC()
	}
}

// Freeze stops the clock, or continues it from where it stopped.
func (c *clock) Freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case on:
		c.frozen = c.now()
	case !c.frozen.IsZero():
		c.offset = c.frozen.Sub(c.base().Round(0))
		c.frozen = time.Time{}
	}
}

// Frozen reports whether the clock is stopped.
func (c *clock) Frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.frozen.IsZero()
}

// Reset returns to the base clock.
func (c *clock) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset, c.frozen = 0, time.Time{}
}
