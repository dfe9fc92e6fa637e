package flow

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

const (
	leaseMax     = 10 * time.Second
	leaseMin     = time.Second
	leaseWait    = 35 * time.Second // longer than a token request and saving its result
	storeTimeout = 5 * time.Second  // for one operation of the store
	storeRetry   = 5 * time.Second  // retry_after if the store does not answer
	pollAtMost   = 400 * time.Millisecond
)

// leaseTTL returns how long a lease lasts without renewal: at most a third of the
// overlap, so that a stopped holder does not use up the overlap.
func (c *Client) leaseTTL() time.Duration {
	if c.cfg.Leeway == 0 {
		return leaseMax
	}
	return max(leaseMin, min(leaseMax, c.cfg.Leeway/3))
}

// heldLease is a lease that is renewed until release.
type heldLease struct {
	lease   Lease
	ttl     time.Duration
	now     func() time.Time
	cancel  context.CancelFunc
	done    chan struct{}
	lost    atomic.Bool
	takenAt atomic.Pointer[instant]

	replaces *time.Time // login time of the row that was read under the lease; nil: none was read
}

// instant is a time on both clocks, taken before the store is asked for the
// lease.
type instant struct {
	wall time.Time // by the configured clock
	mono time.Time // with the monotonic reading, which stops while the machine sleeps
}

func (h *heldLease) setTakenAt(at instant) { h.takenAt.Store(&at) }

func (h *heldLease) instantNow() instant { return instant{wall: h.now().Round(0), mono: time.Now()} }

// check returns nil while the lease is certainly held, by the wall clock and by
// the monotonic clock. If the process was stopped, another one may have taken it.
func (h *heldLease) check() *Error {
	from := h.takenAt.Load()
	wall := h.now().Sub(from.wall) // negative: the clock was set back, and another process may have taken the lease
	if !h.lost.Load() && time.Since(from.mono) < h.ttl && wall < h.ttl && wall > -time.Second {
		return nil
	}
	return &Error{
		Op: "refresh", Class: ClassLeaseBusy, Description: "the lease may have run out before the request was sent: nothing was sent",
		Hint: "try again", RetryAfter: time.Second,
	}
}

// lock takes the grant's lease. It waits while another process holds it.
func (c *Client) lock(ctx context.Context, f *flight) (*heldLease, *Error) {
	f.waitsForLease.Store(true)
	defer f.waitsForLease.Store(false)
	ctx, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	h := &heldLease{ttl: c.leaseTTL(), now: c.cfg.Now}
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, pollAtMost) {
		opctx, done := context.WithTimeout(ctx, storeTimeout)
		at := h.instantNow()
		l, err := c.cfg.Store.Lock(opctx, c.key, h.ttl)
		done()
		if l == nil && err == nil {
			err = errors.New("the store returned neither a lease nor an error")
		}
		if err == nil {
			h.lease = l
			h.setTakenAt(at)
			c.renew(h)
			return h, nil
		}
		if !errors.Is(err, ErrLocked) {
			return nil, storeError("lock", err)
		}
		if !f.pause(ctx, wait/2+time.Duration(fraction(c.cfg.Rand)*float64(wait))) {
			return nil, &Error{
				Op: "lock", Class: ClassLeaseBusy, Description: "another process is refreshing this grant",
				Hint: "try again", RetryAfter: time.Second, Err: err,
			}
		}
	}
}

// renew renews the lease every third of its TTL, until release.
func (c *Client) renew(h *heldLease) {
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(context.Background())
	h.done = make(chan struct{})
	go func() {
		defer close(h.done)
		t := time.NewTicker(h.ttl / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			opctx, done := context.WithTimeout(ctx, storeTimeout)
			at := h.instantNow()
			err := h.lease.Renew(opctx)
			done()
			switch {
			case err == nil:
				h.setTakenAt(at)
			case errors.Is(err, ErrConflict):
				h.lost.Store(true)
				c.log().Error("the lease was lost: another process has taken it")
				return
			}
		}
	}()
}

// release stops the renewal and releases the lease.
func (h *heldLease) release() {
	h.cancel()
	<-h.done
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	_ = h.lease.Release(ctx) // an unreleased lease expires
}

// storeError classifies an error of the store. It keeps the store's hint, unless
// the class has one.
func storeError(op string, err error) *Error {
	e := &Error{Op: op, Class: ClassStoreUnavailable, Err: err, RetryAfter: storeRetry}
	e.Description, e.Hint = storeMessage(err), hintOf(err)
	switch {
	case errors.Is(err, ErrCorrupt):
		e.Class, e.RetryAfter = ClassStoreCorrupt, 0
		e.Hint = "open the store with the key it was written with, or log out and in again"
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLocked):
		e.Class, e.Hint, e.RetryAfter = ClassLeaseBusy, "try again", time.Second
	}
	return e
}

// storeMessage returns the text of an error without the name of this package,
// which means nothing to a user.
func storeMessage(err error) string {
	text := err.Error()
	if errors.Is(err, ErrReplaced) { // the store's own text says which of the three it was
		text = strings.TrimSuffix(text, ": "+ErrReplaced.Error())
	}
	return strings.ReplaceAll(text, "flow: ", "")
}
