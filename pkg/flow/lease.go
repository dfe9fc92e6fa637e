package flow

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The lease is longer than a token request and its write, and is renewed each
// third of its time; who waits for it waits longer than it lasts, so that a
// holder that crashed is outlived.
const (
	leaseTime  = 30 * time.Second
	leaseWait  = 35 * time.Second
	storeTime  = 5 * time.Second // for one operation of the store
	pollAtMost = 400 * time.Millisecond
)

// held is a lease that is kept until release.
type held struct {
	lease  Lease
	cancel context.CancelFunc
	done   chan struct{}
	lost   atomic.Bool
}

// lock takes the grant's lease, waiting for its holder.
func (c *Client) lock(ctx context.Context, f *flight) (*held, *Error) {
	f.leasing.Store(true)
	defer f.leasing.Store(false)
	ctx, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, pollAtMost) {
		opctx, done := context.WithTimeout(ctx, storeTime)
		l, err := c.cfg.Store.Lock(opctx, c.cfg.Name, leaseTime)
		done()
		if err == nil {
			return c.hold(l), nil
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

// hold renews the lease until release.
func (c *Client) hold(l Lease) *held {
	ctx, cancel := context.WithCancel(context.Background())
	h := &held{lease: l, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		t := time.NewTicker(leaseTime / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			opctx, done := context.WithTimeout(ctx, storeTime)
			err := l.Renew(opctx)
			done()
			if errors.Is(err, ErrConflict) {
				h.lost.Store(true)
				c.cfg.Log.Error("the lease was lost")
				return
			}
		}
	}()
	return h
}

// release ends the renewing, then the lease.
func (h *held) release() {
	h.cancel()
	<-h.done
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	_ = h.lease.Release(ctx) // what is not released runs out
}

// storeError gives a failure of the store its class.
func storeError(op string, err error) *Error {
	switch {
	case errors.Is(err, ErrCorrupt):
		return &Error{
			Op: op, Class: ClassStoreCorrupt, Err: err,
			Hint: "open the store with the key it was written with, or log out and in again",
		}
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLocked):
		return &Error{Op: op, Class: ClassLeaseBusy, Err: err, Hint: "try again", RetryAfter: time.Second}
	}
	return &Error{Op: op, Class: ClassStoreUnavailable, Err: err}
}
