package flow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// flightTimeout bounds a flight: waiting for another process's lease, a token
// request, saving and verification.
const flightTimeout = 90 * time.Second

// flight is an operation on the grant that many callers wait for. It has a
// context of its own, so a caller that gives up does not end it.
type flight struct {
	done          chan struct{}
	stopped       chan struct{} // closed when Run ends: stop waiting for leases and pauses
	once          sync.Once
	waitsForLease atomic.Bool // waiting for another process
	quiet         bool        // started by Next or Step, which need no wake-up

	not   Secret // want.not of the request that started it
	token *Token // set before done is closed
	fresh bool   // the token is the result of a request of this flight
	err   *Error
}

func (f *flight) stopWaiting() { f.once.Do(func() { close(f.stopped) }) }

// timeoutError returns the error of a caller whose context has ended.
func (f *flight) timeoutError(ctx context.Context) *Error {
	e := &Error{Op: "token", Class: ClassTimeout, Description: "the request was canceled or timed out before the provider answered", Err: ctx.Err()}
	if f.waitsForLease.Load() {
		e.Class, e.Description = ClassLeaseBusy, "another process is refreshing this grant"
	}
	return e
}

// join returns the flight for w and starts it if there is none.
func (c *Client) join(ctx context.Context, w want) *flight {
	return c.launch(ctx, w.key, c.workFor(w))
}

// joinQuietly is join for [Client.Step].
func (c *Client) joinQuietly(ctx context.Context, w want) *flight {
	return c.quietly(ctx, w.key, c.workFor(w))
}

func (c *Client) workFor(w want) func(context.Context, *flight) {
	return func(ctx context.Context, f *flight) {
		f.not = w.not
		f.token, f.fresh, f.err = c.refreshOrLoad(ctx, f, w)
	}
}

// launch runs work in a flight, unless a flight with that key is running. Only
// one flight at a time uses the grant. Of ctx it uses the request id.
func (c *Client) launch(ctx context.Context, key string, work func(context.Context, *flight)) *flight {
	return c.start(ctx, &flight{}, key, work)
}

// quietly is launch without a wake-up at the end.
func (c *Client) quietly(ctx context.Context, key string, work func(context.Context, *flight)) *flight {
	return c.start(ctx, &flight{quiet: true}, key, work)
}

// start runs work in f, or returns the running flight with that key.
func (c *Client) start(ctx context.Context, f *flight, key string, work func(context.Context, *flight)) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if running := c.flights[key]; running != nil {
		return running
	}
	f.done, f.stopped = make(chan struct{}), make(chan struct{})
	if c.flights == nil {
		c.flights = map[string]*flight{}
	}
	c.flights[key] = f
	c.tasks.start(func() {
		ctx, cancel := context.WithTimeout(detached(ctx), flightTimeout)
		defer cancel()
		f.err = &Error{Op: "token", Class: ClassTimeout, Description: "timed out waiting for another request of this client"}
		select {
		case c.turn <- struct{}{}:
			f.err = nil
			work(ctx, f)
			<-c.turn
		case <-ctx.Done():
		}
		c.mu.Lock()
		if delete(c.flights, key); len(c.flights) == 0 {
			c.flights = nil
		}
		c.mu.Unlock()
		if !f.quiet {
			c.wake()
		}
		close(f.done)
		c.announce()
	})
	return f
}

// do runs work in a flight with that key and waits for it. When ctx ends, only
// this caller stops waiting.
func (c *Client) do(ctx context.Context, key string, work func(context.Context, *flight) *Error) error {
	f := c.launch(ctx, key, func(ctx context.Context, f *flight) { f.err = work(ctx, f) })
	select {
	case <-f.done:
	case <-ctx.Done():
		return f.timeoutError(ctx)
	}
	if f.err != nil {
		return f.err
	}
	return nil
}

// stopWaiting makes the running flights stop waiting for leases and pauses.
func (c *Client) stopWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights {
		f.stopWaiting()
	}
	if c.polling != nil {
		c.polling.cancel()
	}
}

// pause waits. It returns false if the flight was stopped or its time is over.
func (f *flight) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.stopped:
	case <-ctx.Done():
	}
	return false
}

// refreshOrLoad returns a token for w: one that another process has stored, or
// the result of one token request. fresh is true for the latter.
func (c *Client) refreshOrLoad(ctx context.Context, f *flight, w want) (t *Token, fresh bool, e *Error) {
	if t := c.cachedFor(w); t != nil && !w.flush && !w.newLogin { // stored by the previous flight
		return t, false, nil
	}
	if c.hasUnsaved() {
		if e := c.flushNow(ctx, f); e != nil {
			return nil, false, c.failed(ctx, w, e)
		}
	}
	g, _, e := c.load(ctx)
	if e != nil {
		return nil, false, c.failed(ctx, w, e)
	}
	if was := c.mem.Load().find(w.audience, w.scopes); was != nil && w.not == "" {
		w.not = was.token.AccessToken // with force, the stored token does not count either
	}
	if t := c.cachedFor(w); t != nil && !w.newLogin {
		return t, false, nil
	}
	if d := c.decide(ctx, g, w); d.why != nil && !c.mayBeInFlight(g) {
		return nil, false, d.why
	}
	began := time.Now()
	meta, err := c.provider.endpoints(ctx)
	if err != nil {
		e := asError("discovery", err)
		c.refreshed(began, e)
		return nil, false, c.reportUnsent(ctx, f, w, g, c.failed(ctx, w, e))
	}
	l, e := c.lock(ctx, f)
	switch {
	case e != nil && e.Class == ClassLeaseBusy: // nothing is wrong
		return nil, false, e
	case e != nil:
		return nil, false, c.failed(ctx, w, e)
	}
	defer l.release()
	g, revision, e := c.load(ctx) // another process may have refreshed it since
	if e != nil {
		return nil, false, c.failed(ctx, w, e)
	}
	if t := c.cachedFor(w); t != nil && !w.newLogin {
		return t, false, nil
	}
	d := c.decide(ctx, g, w)
	if d.why != nil {
		return nil, false, d.why
	}
	w.newLogin = w.newLogin || d.newLogin // the decision under the lease counts
	x := &exchange{c: c, f: f, l: l, meta: meta, w: w, began: time.Now()}
	ctx, end := c.begin(ctx, OpRefresh, "")
	t, e = x.run(ctx, g, revision)
	end(e)
	c.refreshed(x.began, e)
	if e != nil {
		c.reportFailure(ctx, l, w, e)
	}
	return t, e == nil, e
}

// asError returns err as an *Error, or wraps it as a bad response.
func asError(op string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		own := *e // a shared fetch returns the same error to all clients
		return &own
	}
	return &Error{Op: op, Class: ClassBadResponse, Err: err}
}
