package flow

import (
	"context"
	"time"
)

const (
	lookAgain    = 30 * time.Second // how often Run looks at the clock and, without a token, at the store
	breath       = 500 * time.Millisecond
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
		w, at := c.plan()
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
			wait = breath
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

// plan is what Run does next, and when; zero when nothing helps but a person.
func (c *Client) plan() (w want, at time.Time) {
	w = c.want(Request{Force: true})
	first := c.want(Request{}) // what is stored may be good still
	s, now := c.mem.Load(), c.cfg.Now()
	present := ""
	if s != nil {
		present = c.present(context.Background(), s.grant)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.next = at.Round(0) }()
	hold := latest(now, c.gates[""].ends(), c.gates[w.key].ends())
	alone := c.cfg.unattended() && !c.forgotten
	_, own := c.cfg.Source.(ClientCredentials)
	_, asks := c.asker()
	switch {
	case c.rejected != nil:
		return w, time.Time{}
	case c.unsaved != nil:
		w.settle = true
		return w, hold
	case s == nil: // not loaded yet
		return first, hold
	case own:
	case s.grant == nil || s.grant.State != GrantDead && s.grant.RefreshToken == "":
		if e := s.find("", nil); s.grant != nil && e != nil {
			return w, c.ifAlone(alone, latest(c.due(s, e, now), hold))
		}
		return w, c.ifAlone(alone, latest(hold, c.gates[loginGate].ends()))
	case s.grant.State == GrantDead && c.newSeed(s.grant):
		return w, hold
	case s.grant.State == GrantDead && asks:
		at, ok := c.asksAgain(s.grant, present)
		return w, c.ifAlone(ok, latest(hold, at))
	case s.grant.State == GrantDead:
		_, code := c.cfg.Source.(AuthorizationCode)
		w.signIn = true
		return w, c.ifAlone(alone && code, latest(hold, c.relogin, c.gates[loginGate].ends()))
	}
	return w, latest(c.due(s, s.find("", nil), now), hold)
}

func (c *Client) ifAlone(alone bool, at time.Time) time.Time {
	if !alone {
		return time.Time{}
	}
	return at
}

// due is when a living grant is to be refreshed; c.mu is held. A failed attempt
// is repeated once a minute while nobody waits, at every back-off slot when
// somebody may.
func (c *Client) due(s *snapshot, e *entry, now time.Time) time.Time {
	if e == nil || s.grant == nil {
		return now
	}
	advisory, mandatory := c.windows(e.life)
	end := now.Add(e.remaining(now))
	last := end.Add(-mandatory)
	at := end.Add(-advisory - time.Duration(c.spread*float64(advisory)))
	if g := s.grant; g.RefreshToken != "" {
		if c.uncertain(g) {
			if g.Intent.Replays < replays && c.inLeeway(g, now) {
				return now
			}
			return last
		}
		if idle := g.Exchanged.Add(c.cfg.Idle / 2); !g.Exchanged.IsZero() && idle.Before(at) {
			at = idle
		}
	}
	if c.failure != nil && now.Before(last) {
		if again := c.failure.Time.Add(advisoryRate); again.Before(last) {
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
