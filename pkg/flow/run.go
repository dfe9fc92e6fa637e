package flow

import (
	"context"
	"time"
)

const (
	lookAgain    = 30 * time.Second // how often Run looks at the clock and, without a token, at the store
	retryPause   = 500 * time.Millisecond
	minPause     = time.Second
	reloginAfter = time.Minute // before a headless login replaces a grant that the tenant has just ended
	advisoryRate = time.Minute // between attempts while nobody waits for one
)

// Run keeps the grant: it loads it, signs in where that needs no person,
// refreshes before expiry and keeps an idle grant alive, until ctx ends. It
// waits for a refresh in flight and then returns nil. Failures are in
// [Client.Status]; none of them ends it.
func (c *Client) Run(ctx context.Context) error {
	defer c.end()
	for ctx.Err() == nil {
		w, at := c.plan(ctx)
		now := c.cfg.Now()
		wait := lookAgain
		switch {
		case at.IsZero(): // a person must act, perhaps at another process
			c.await(ctx, c.launch("load", c.look))
		case at.After(now):
			wait = min(wait, at.Sub(now))
		default:
			if c.await(ctx, c.join(w)) {
				continue
			}
			wait = retryPause
		}
		c.announce()
		if at.IsZero() || !at.After(now) { // its own flight's end is no news
			c.settleDown()
		}
		c.sleep(ctx, wait)
	}
	return nil
}

// await reports whether the flight went well.
func (c *Client) await(ctx context.Context, f *flight) bool {
	select {
	case <-f.done:
		return f.err == nil
	case <-ctx.Done():
		return false
	}
}

// look loads the grant, in a flight.
func (c *Client) look(ctx context.Context, f *flight) {
	if _, _, e := c.load(ctx); e != nil {
		f.err = c.failed(c.want(Request{}), e)
	}
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

// wake makes Run look again.
func (c *Client) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// settleDown forgets that something woke Run.
func (c *Client) settleDown() {
	select {
	case <-c.changed:
	default:
	}
}

// end waits for what is in flight.
func (c *Client) end() {
	if c.hasUnsaved() {
		c.launch("flush", func(ctx context.Context, f *flight) { f.err = c.flushNow(ctx, f) })
	}
	c.hasten()
	c.tasks.wait()
	if c.ownTransport {
		c.http.CloseIdleConnections()
	}
}

// Close waits for the client's own requests in flight and closes the idle
// connections that it made itself; those of a shared [Provider] stay. It may be
// called more than once. A client that is used afterwards works on.
func (c *Client) Close() error {
	c.end()
	return nil
}

// plan is what Run does next, and when; zero when only a person helps.
func (c *Client) plan(ctx context.Context) (w want, at time.Time) {
	s, now := c.mem.Load(), c.cfg.Now()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.next = at.Round(0); s == nil {
			c.next = time.Time{}
		}
	}()
	c.mu.Lock()
	unsaved, probe, unread := c.unsaved != nil, c.probe, c.gates[localGate].ends()
	hold := latest(unread, c.gates[""].ends())
	c.probe = false
	c.mu.Unlock()
	if s == nil { // not loaded yet; what is stored may be good still
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
	w.relogin = d.signIn
	if e := s.find("", nil); e != nil && s.grant.begun() && s.grant.State != GrantDead && s.grant.Rejected == nil {
		return w, latest(d.at, unread, c.due(s, e, now))
	}
	return w, latest(now, unread, d.at)
}

// due is when a living grant is to be refreshed. A failed attempt
// is repeated once a minute while nobody waits, at every back-off slot when
// somebody may.
func (c *Client) due(s *snapshot, e *entry, now time.Time) time.Time {
	advisory, mandatory := c.windows(e.life)
	end := now.Add(e.remaining(now))
	last := end.Add(-mandatory)
	at := end.Add(-advisory - time.Duration(c.spread*float64(advisory)))
	at = latest(at, e.token.Obtained.Add(max(minPause, e.life/3))) // a success that gained no life is not repeated at once
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
		if again := failure.Time.Add(advisoryRate); again.Before(last) {
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
