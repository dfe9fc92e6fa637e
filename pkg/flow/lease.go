package flow

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

const (
	leaseMax   = 10 * time.Second
	leaseMin   = time.Second
	leaseWait  = 35 * time.Second // longer than a token request and its write take
	storeTime  = 5 * time.Second  // for one operation of the store
	storeRetry = 5 * time.Second  // what a caller is told to wait when the store does not answer
	pollAtMost = 400 * time.Millisecond
)

// leaseTime is how long a lease is held without being renewed: at most a third
// of the overlap, so that a holder that was stopped does not use the overlap up.
func (c *Client) leaseTime() time.Duration {
	if c.cfg.Leeway == 0 {
		return leaseMax
	}
	return max(leaseMin, min(leaseMax, c.cfg.Leeway/3))
}

// held is a lease that is kept until release.
type held struct {
	lease  Lease
	ttl    time.Duration
	now    func() time.Time
	cancel context.CancelFunc
	done   chan struct{}
	lost   atomic.Bool
	from   atomic.Pointer[claim]

	replaces *time.Time // login of the row that was read under the lease; nil: none was read
}

// claim is when a lease was last taken or renewed, before the store was asked.
type claim struct {
	wall time.Time // by the configured clock
	mono time.Time // with the monotonic reading, which stands still while the machine sleeps
}

func (h *held) claimed(at claim) { h.from.Store(&at) }

func (h *held) claimNow() claim { return claim{wall: h.now().Round(0), mono: time.Now()} }

// mine returns nil while the lease is certainly held, by wall and by monotonic
// clock. A process that was stopped may find that another one has it.
func (h *held) mine() *Error {
	from := h.from.Load()
	wall := h.now().Sub(from.wall) // negative: the clock was set back, and others may have taken the lease
	if !h.lost.Load() && time.Since(from.mono) < h.ttl && wall < h.ttl && wall > -time.Second {
		return nil
	}
	return &Error{
		Op: "refresh", Class: ClassLeaseBusy, Description: "the lease may have run out before the request was sent: nothing was sent",
		Hint: "try again", RetryAfter: time.Second,
	}
}

// lock takes the grant's lease, waiting for its holder.
func (c *Client) lock(ctx context.Context, f *flight) (*held, *Error) {
	f.leasing.Store(true)
	defer f.leasing.Store(false)
	ctx, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	h := &held{ttl: c.leaseTime(), now: c.cfg.Now}
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, pollAtMost) {
		opctx, done := context.WithTimeout(ctx, storeTime)
		at := h.claimNow()
		l, err := c.cfg.Store.Lock(opctx, c.key, h.ttl)
		done()
		if err == nil {
			h.lease = l
			h.claimed(at)
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

// renew renews the lease every third of its time, until release.
func (c *Client) renew(h *held) {
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
			opctx, done := context.WithTimeout(ctx, storeTime)
			at := h.claimNow()
			err := h.lease.Renew(opctx)
			done()
			switch {
			case err == nil:
				h.claimed(at)
			case errors.Is(err, ErrConflict):
				h.lost.Store(true)
				c.cfg.Log.Error("the lease was lost: another process has taken it")
				return
			}
		}
	}()
}

// release ends the renewing, then the lease.
func (h *held) release() {
	h.cancel()
	<-h.done
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	_ = h.lease.Release(ctx) // what is not released runs out
}

// storeError gives a failure of the store its class. A hint of the store's own
// is the hint, unless the class has one.
func storeError(op string, err error) *Error {
	e := &Error{Op: op, Class: ClassStoreUnavailable, Err: err, RetryAfter: storeRetry}
	e.Description, e.Hint = storeText(err), hintOf(err)
	switch {
	case errors.Is(err, ErrCorrupt):
		e.Class, e.RetryAfter = ClassStoreCorrupt, 0
		e.Hint = "open the store with the key it was written with, or log out and in again"
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLocked):
		e.Class, e.Hint, e.RetryAfter = ClassLeaseBusy, "try again", time.Second
	}
	return e
}

// storeText is the text of an error without the name of this package, which says
// nothing to a user.
func storeText(err error) string {
	text := err.Error()
	if errors.Is(err, ErrReplaced) { // the store says better which of the three it was
		text = strings.TrimSuffix(text, ": "+ErrReplaced.Error())
	}
	return strings.ReplaceAll(text, "flow: ", "")
}
