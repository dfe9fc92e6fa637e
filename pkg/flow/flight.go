package flow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// flightTime bounds a flight: waiting for another process's lease, a token
// request, its write and its verification.
const flightTime = 90 * time.Second

// flight is one piece of work on the grant that many callers wait for. It runs
// in a context of its own: a caller that leaves changes nothing.
type flight struct {
	done    chan struct{}
	hurry   chan struct{} // closed by Run's end: wait for nothing that can be left
	once    sync.Once
	leasing atomic.Bool // waits for another process

	seen  Secret // of the want that began it
	token *Token // set before done is closed
	fresh bool   // of a request that was made now
	err   *Error
}

func (f *flight) hasten() { f.once.Do(func() { close(f.hurry) }) }

// gaveUp is the failure of a caller that left.
func (f *flight) gaveUp(ctx context.Context) *Error {
	e := &Error{Op: "token", Class: ClassTimeout, Description: "the caller's time ended before the tenant answered", Err: ctx.Err()}
	if f.leasing.Load() {
		e.Class, e.Description = ClassLeaseBusy, "another process is refreshing this grant"
	}
	return e
}

// join returns the flight for w, beginning one when there is none.
func (c *Client) join(w want) *flight {
	return c.launch(w.key, func(ctx context.Context, f *flight) {
		f.seen = w.seen
		f.token, f.fresh, f.err = c.refreshOrLoad(ctx, f, w)
	})
}

// launch runs work in a flight, unless one of that key is under way. Only one
// flight at a time has the turn to use the grant.
func (c *Client) launch(key string, work func(context.Context, *flight)) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{}), hurry: make(chan struct{})}
	c.flights[key] = f
	c.tasks.start(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flightTime)
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
		delete(c.flights, key)
		c.mu.Unlock()
		c.wake()
		close(f.done)
		c.announce()
	})
	return f
}

// do runs work in a flight of that key and waits for it. When ctx ends, only this
// caller stops waiting.
func (c *Client) do(ctx context.Context, key string, work func(context.Context, *flight) *Error) error {
	f := c.launch(key, func(ctx context.Context, f *flight) { f.err = work(ctx, f) })
	select {
	case <-f.done:
	case <-ctx.Done():
		return f.gaveUp(ctx)
	}
	if f.err != nil {
		return f.err
	}
	return nil
}

// hasten makes the flights under way wait for nothing that can be left.
func (c *Client) hasten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights {
		f.hasten()
	}
	if c.polling != nil {
		c.polling.end()
	}
}

// pause waits, unless the flight is hastened or its time ends.
func (f *flight) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.hurry:
	case <-ctx.Done():
	}
	return false
}

// refreshOrLoad gets a token for w: what another process has stored since, or
// the answer of one token request. fresh says which.
func (c *Client) refreshOrLoad(ctx context.Context, f *flight, w want) (t *Token, fresh bool, e *Error) {
	if t := c.found(w); t != nil && !w.flush && !w.signIn { // by the flight before
		return t, false, nil
	}
	if c.hasUnsaved() {
		if e := c.flushNow(ctx, f); e != nil {
			return nil, false, c.failed(w, e)
		}
	}
	g, _, e := c.load(ctx)
	if e != nil {
		return nil, false, c.failed(w, e)
	}
	if was := c.mem.Load().find(w.audience, w.scopes); was != nil && w.seen == "" {
		w.seen = was.token.AccessToken // force wants another than what is stored, too
	}
	if t := c.found(w); t != nil && !w.signIn {
		return t, false, nil
	}
	if d := c.decide(ctx, g, w); d.why != nil {
		return nil, false, d.why
	}
	meta, err := c.idp.endpoints(ctx)
	if err != nil {
		return nil, false, c.failed(w, asError("discovery", err))
	}
	l, e := c.lock(ctx, f)
	if e != nil {
		return nil, false, e
	}
	defer l.release()
	g, revision, e := c.load(ctx) // another process may have done it before us
	if e != nil {
		return nil, false, c.failed(w, e)
	}
	if t := c.found(w); t != nil && !w.signIn {
		return t, false, nil
	}
	d := c.decide(ctx, g, w)
	if d.why != nil {
		return nil, false, d.why
	}
	w.signIn = w.signIn || d.signIn // as decided under the lease
	x := &exchange{c: c, f: f, l: l, meta: meta, w: w, began: time.Now()}
	t, e = x.run(ctx, g, revision)
	return t, e == nil, e
}

// asError returns err as what it is made of, or as a bad response.
func asError(op string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		own := *e // a shared fetch has one error for all clients of the provider
		return &own
	}
	return &Error{Op: op, Class: ClassBadResponse, Err: err}
}
