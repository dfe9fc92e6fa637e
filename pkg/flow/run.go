package flow

import (
	"context"
	"time"
)

const (
	checkInterval = 30 * time.Second // how often Run checks the clock and, without a token, the store
	retryPause    = 500 * time.Millisecond
	minPause      = time.Second
	reloginAfter  = time.Minute // before a headless login replaces a dead grant
	advisoryPause = time.Minute // between attempts while no caller waits
)

// Run keeps the grant until ctx ends: it loads it, logs in if that needs no
// person, refreshes before expiry and keeps an idle grant alive. It waits for a
// refresh in flight and then returns nil. Errors do not end it; they are in
// [Client.Status]. A program with many clients calls [Client.Next] and
// [Client.Step] instead.
func (c *Client) Run(ctx context.Context) error {
	defer c.shutdown()
	changed := make(chan struct{}, 1)
	c.OnWake(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer c.OnWake(nil)
	for ctx.Err() == nil {
		at := c.Next(ctx)
		if !at.IsZero() && !at.After(c.cfg.Now()) {
			at = c.Step(ctx)
		}
		wait := checkInterval
		if !at.IsZero() {
			wait = min(wait, at.Sub(c.cfg.Now()))
		}
		sleep(ctx, wait, changed)
		if at.IsZero() {
			c.setStale()
		}
	}
	return nil
}

// Next returns when the client's next request is due, the zero time if only a
// person or another process can help. It reads the store if the grant is not
// loaded yet or [Client.Reload] was called, and sends nothing to the provider.
// A change of the clock changes its result.
func (c *Client) Next(ctx context.Context) time.Time {
	if c.mustLoad() && !c.waitFor(ctx, c.quietly(ctx, "load", c.loadGrant)) && c.mem.Load() != nil {
		c.setStale()
	}
	_, at := c.plan(ctx)
	c.announce()
	return at
}

// Step makes the client's next request, if it is due, and returns what
// [Client.Next] would. If ctx ends, the request continues; [Client.Close] waits
// for it.
func (c *Client) Step(ctx context.Context) time.Time {
	w, at := c.plan(ctx)
	if at.IsZero() || at.After(c.cfg.Now()) {
		c.announce()
		return at
	}
	c.takeProbe()
	ok := c.waitFor(ctx, c.joinQuietly(ctx, w))
	_, at = c.plan(ctx)
	if now := c.cfg.Now(); !ok && !at.IsZero() {
		at = latest(at, now.Add(retryPause))
	}
	c.announce()
	return at
}

// OnWake sets the function that is called when [Client.Next] may have changed:
// after a request that a caller started, a login or Retry. It may be
// called from any goroutine, and must not block. [Client.Run] sets its own.
func (c *Client) OnWake(wake func()) { c.onWake.Store(&wake) }

// Reload makes the next call of [Client.Next] read the stored grant again, which
// another process may have changed.
func (c *Client) Reload() { c.setStale() }

// Key returns the key of the grant in the [Store].
func (c *Client) Key() string { return c.key }

func (c *Client) setStale() {
	c.mu.Lock()
	c.stale = true
	c.mu.Unlock()
}

// mustLoad reports, once, whether the grant must be loaded.
func (c *Client) mustLoad() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.stale
	c.stale = false
	return was || c.mem.Load() == nil && !latest(c.backoffs[localBackoff].end(), c.backoffs[""].end()).After(c.cfg.Now())
}

func (c *Client) takeProbe() {
	c.mu.Lock()
	c.probe = false
	c.mu.Unlock()
}

// waitFor reports whether the flight succeeded.
func (c *Client) waitFor(ctx context.Context, f *flight) bool {
	select {
	case <-f.done:
		return f.err == nil
	case <-ctx.Done():
		return false
	}
}

// loadGrant loads the grant and a pending device login, in a flight.
func (c *Client) loadGrant(ctx context.Context, f *flight) {
	if _, _, e := c.load(ctx); e != nil {
		f.err = c.failed(ctx, c.want(Request{}), e)
	}
	c.followDevice(ctx)
}

func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// wake calls the function of [Client.OnWake].
func (c *Client) wake() {
	if wake := c.onWake.Load(); wake != nil && *wake != nil {
		(*wake)()
	}
}

// shutdown waits for the running flights.
func (c *Client) shutdown() {
	if c.hasUnsaved() {
		c.launch(context.Background(), "flush", func(ctx context.Context, f *flight) { f.err = c.flushNow(ctx, f) })
	}
	c.stopWaiting()
	c.tasks.wait()
	if c.ownTransport {
		c.http.CloseIdleConnections()
	}
}

// Close waits for the client's own requests in flight and closes the idle
// connections that it opened; those of a shared [Provider] stay open. It may be
// called more than once. A closed client still works if it is used again. Close tries
// once more to store a refreshed grant that is not in the store; if it cannot, the error
// says so, because the grant ends with the process.
func (c *Client) Close() error {
	c.shutdown()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved == nil || c.unsaved.Generation == c.spilled {
		return nil
	}
	return &Error{
		Op: "close", Class: ClassStoreUnavailable, Description: "the refreshed grant is in no store: its refresh token is lost with this process",
		Hint: "close it again when the store works, or log in again",
	}
}

// plan returns Run's next request and its time; zero if only a person can help.
func (c *Client) plan(ctx context.Context) (w want, at time.Time) {
	s, now := c.mem.Load(), c.cfg.Now()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.nextRefresh = at.Round(0); s == nil {
			c.nextRefresh = time.Time{}
		}
	}()
	c.mu.Lock()
	unsaved, probe, localEnd := c.unsaved != nil, c.probe, c.backoffs[localBackoff].end()
	hold := latest(localEnd, c.backoffs[""].end())
	c.mu.Unlock()
	localEnd = latest(localEnd, c.provider.rateLimitEnd())
	if s == nil { // not loaded yet; the stored token may still be valid
		return c.want(Request{}), latest(now, hold)
	}
	if unsaved {
		w = c.want(Request{})
		w.flush = true
		return w, latest(now, hold)
	}
	w = c.want(Request{Force: true})
	w.probe = probe && s.grant != nil && s.grant.Rejected != nil
	d := c.decide(ctx, s.grant, w)
	if d.at.IsZero() {
		return w, time.Time{}
	}
	w.relogin = d.newLogin
	if e := s.find("", nil); e != nil && s.grant.exists() && s.grant.State != GrantDead && s.grant.Rejected == nil {
		return w, latest(d.at, localEnd, c.refreshAt(s, e, now))
	}
	return w, latest(now, localEnd, d.at)
}

// refreshAt returns when a working grant is refreshed: in the first two thirds of
// the advisory window, or after two fifths to a half of the idle lifetime, each
// client at a point of its own, so that clients that were imported together do not
// refresh together. A failed attempt is
// repeated once a minute while no caller waits, and at the pace of the back-off
// when one may.
func (c *Client) refreshAt(s *snapshot, e *entry, now time.Time) time.Time {
	advisory, mandatory := c.windows(e.life)
	end := now.Add(e.remaining(now))
	last := end.Add(-mandatory)
	at := end.Add(-advisory + time.Duration(c.jitter*float64(advisory)*2/3))
	if at.After(last) {
		at = last
	}
	at = latest(at, e.token.Obtained.Add(max(minPause, e.life/3))) // do not repeat at once a refresh that gained no time
	if g := s.grant; g.RefreshToken != "" {
		if c.uncertain(g) {
			return c.replayAt(g, now)
		}
		if idle := g.Exchanged.Add(c.cfg.Idle/2 - time.Duration(c.jitter*float64(c.cfg.Idle)/10)); !g.Exchanged.IsZero() && idle.Before(at) {
			at = idle
		}
	}
	c.mu.Lock()
	failure := c.failure
	c.mu.Unlock()
	if failure != nil && now.Before(last) {
		if again := failure.Time.Add(advisoryPause); again.Before(last) {
			return latest(at, again)
		}
		return latest(at, last)
	}
	return at
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}
