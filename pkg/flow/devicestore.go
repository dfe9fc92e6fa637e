package flow

import (
	"context"
	"errors"
	"net/url"
)

// A device login is kept in the store, if the store is a [LoginKeeper]. The process
// that has the client's device lease polls; the others wait until the login is no
// longer pending, and take over if that process ends.

// keeper returns the store as a LoginKeeper, nil if it is none.
func (c *Client) keeper() LoginKeeper {
	k, _ := c.cfg.Store.(LoginKeeper)
	return k
}

// keepDevice keeps a device login in the store, in place of the client's earlier
// ones.
func (c *Client) keepDevice(ctx context.Context, l Login) (PendingLogin, *Error) {
	pending := PendingLogin{Key: c.key, Started: c.cfg.Now().Round(0), Login: l}
	k := c.keeper()
	if k == nil {
		return pending, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	g, revision, e := c.read(ctx)
	if e != nil && e.Class != ClassStoreCorrupt { // a login replaces a grant that cannot be read
		return pending, e
	}
	pending.Revision = revision
	if g != nil {
		pending.LoggedIn = g.LoggedIn
	}
	if err := errors.Join(k.DropLogins(ctx, c.key), k.KeepLogin(ctx, pending)); err != nil {
		return pending, storeError("login", err)
	}
	return pending, nil
}

// pendingDevice returns the client's newest device login in the store.
func (c *Client) pendingDevice(ctx context.Context) (PendingLogin, bool) {
	list, err := c.pendingLogins(ctx)
	if err != nil || len(list) == 0 {
		return PendingLogin{}, false
	}
	l := list[len(list)-1]
	return l, l.Login.DeviceCode != "" && l.Login.Client == c.cfg.Name
}

func (c *Client) pendingLogins(ctx context.Context) ([]PendingLogin, error) {
	k := c.keeper()
	if k == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return k.PendingLogins(ctx, c.key)
}

// followDevice polls for a device login that another process has begun, or this one
// before a restart, or waits for its end.
func (c *Client) followDevice(ctx context.Context) {
	if _, ok := c.cfg.Source.(Device); !ok {
		return
	}
	c.mu.Lock()
	p := c.polling
	c.mu.Unlock()
	if l, ok := c.pendingDevice(ctx); ok && (p == nil || !p.active() && p.login.DeviceCode != l.Login.DeviceCode) {
		c.startPolling(l, false)
	}
}

// lockDevice takes the client's device lease, if it is free. A client has one, so
// that a process that begins another login takes over the polling.
func (c *Client) lockDevice(p *poll) {
	if c.keeper() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	h := &heldLease{ttl: leaseMax, now: c.cfg.Now}
	at := h.instantNow()
	l, err := c.cfg.Store.Lock(ctx, "device "+c.key, h.ttl)
	if err != nil { // tried again before the next poll
		return
	}
	h.lease = l
	h.setTakenAt(at)
	c.renew(h)
	p.lease = h
}

func (p *poll) unlock() {
	if p.lease != nil {
		p.lease.release()
		p.lease = nil
	}
}

// What a process does when the next poll is due.
type pollState int

const (
	pollNow   pollState = iota
	pollNot             // another process polls, or may have just done so
	pollEnded           // the login has ended at another process
)

// pollState reports what to do now. Without the store, a process polls as long as it
// certainly has the lease.
func (c *Client) pollState(p *poll) pollState {
	if c.keeper() == nil {
		return pollNow
	}
	took := false
	if p.lease != nil && p.lease.check() != nil {
		p.unlock()
		p.began = false
	}
	if p.lease == nil {
		c.lockDevice(p)
		took = p.lease != nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	list, err := c.pendingLogins(ctx)
	if err == nil && !containsLogin(list, p.login.ID()) || took && c.loggedInElsewhere(ctx, p) {
		return pollEnded
	}
	if p.lease == nil || took && !p.began {
		return pollNot
	}
	return pollNow
}

func containsLogin(list []PendingLogin, id string) bool {
	for _, l := range list {
		if l.Login.ID() == id {
			return true
		}
	}
	return false
}

// loggedInElsewhere reports whether a login has replaced the grant since this one
// began: a process may have ended after it stored the grant.
func (c *Client) loggedInElsewhere(ctx context.Context, p *poll) bool {
	g, _, e := c.read(ctx)
	return e == nil && p.replacedBy(g)
}

func (p *poll) replacedBy(g *Grant) bool {
	return g.exists() && g.State != GrantDead && !g.LoggedIn.Equal(p.pending.LoggedIn)
}

// loggedOutElsewhere reports whether a logout was stored since the login began.
func (c *Client) loggedOutElsewhere(p *poll, stored *Grant) bool {
	return c.keeper() != nil && stored != nil && stored.State == GrantLoggedOut && stored.Revision != p.pending.Revision
}

// endedElsewhere returns the result of a login that has ended at another process.
func (c *Client) endedElsewhere(p *poll) *Error {
	<-c.launch(context.Background(), "load", c.loadGrant).done
	if p.replacedBy(c.grant()) {
		c.clearLoginFailures()
		return nil
	}
	return &Error{Op: "login", Class: ClassLoginRequired, Description: "the device login has ended at another process, without a grant", Hint: "begin a new login"}
}

// endDevice removes a login from the store that has ended, so that no other process
// polls for it, and releases the lease. A canceled one stays: after a logout or a new
// login it is no longer there, and at the end of Run another process takes over.
func (c *Client) endDevice(p *poll) {
	defer p.unlock()
	k := c.keeper()
	if k == nil || !p.active() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if _, err := k.TakeLogin(ctx, c.key, p.login.ID()); err != nil && !errors.Is(err, ErrNotFound) {
		c.log().Warn("the device login could not be removed from the store; it expires there", "err", err)
	}
}

// pollOnce asks once for the result of a device login.
func (c *Client) pollOnce(l Login) (answer, outcome, *Error) {
	ctx := context.Background()
	m, err := c.provider.endpoints(ctx)
	if err != nil {
		return answer{}, notSent, asError("login", err)
	}
	form := url.Values{"grant_type": {grantDevice}, "device_code": {l.DeviceCode.Reveal()}}
	return c.post(ctx, "login", m.Token, form, sendOptions{})
}
