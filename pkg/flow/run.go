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
// [Client.Status].
func (c *Client) Run(ctx context.Context) error {
	defer c.shutdown()
	for ctx.Err() == nil {
		w, at := c.plan(ctx)
		now := c.cfg.Now()
		wait := checkInterval
		switch {
		case at.IsZero(): // a person must log in, possibly in another process
			c.waitFor(ctx, c.launch("load", c.loadGrant))
		case at.After(now):
			wait = min(wait, at.Sub(now))
		default:
			if c.waitFor(ctx, c.join(w)) {
				continue
			}
			wait = retryPause
		}
		c.announce()
		if at.IsZero() || !at.After(now) { // ignore the end of its own flight
			c.drainWake()
		}
		c.sleep(ctx, wait)
	}
	return nil
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
		f.err = c.failed(c.want(Request{}), e)
	}
	c.followDevice(ctx)
}

func (c *Client) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.changed:
	case <-ctx.Done():
	}
}

// wake makes Run check again.
func (c *Client) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// drainWake drops a pending wake-up.
func (c *Client) drainWake() {
	select {
	case <-c.changed:
	default:
	}
}

// shutdown waits for the running flights.
func (c *Client) shutdown() {
	if c.hasUnsaved() {
		c.launch("flush", func(ctx context.Context, f *flight) { f.err = c.flushNow(ctx, f) })
	}
	c.stopWaiting()
	c.tasks.wait()
	if c.ownTransport {
		c.http.CloseIdleConnections()
	}
}

// Close waits for the client's own requests in flight and closes the idle
// connections that it opened; those of a shared [Provider] stay open. It may be
// called more than once. A closed client still works if it is used again.
func (c *Client) Close() error {
	c.shutdown()
	return nil
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
	c.probe = false
	c.mu.Unlock()
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

// refreshAt returns when a working grant is refreshed. A failed attempt is
// repeated once a minute while no caller waits, and at the pace of the back-off
// when one may.
func (c *Client) refreshAt(s *snapshot, e *entry, now time.Time) time.Time {
	advisory, mandatory := c.windows(e.life)
	end := now.Add(e.remaining(now))
	last := end.Add(-mandatory)
	at := end.Add(-advisory - time.Duration(c.advisoryJitter*float64(advisory)))
	at = latest(at, e.token.Obtained.Add(max(minPause, e.life/3))) // do not repeat at once a refresh that gained no time
	if g := s.grant; g.RefreshToken != "" {
		if c.uncertain(g) {
			return c.replayAt(g, now)
		}
		if idle := g.Exchanged.Add(c.cfg.Idle / 2); !g.Exchanged.IsZero() && idle.Before(at) {
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
