package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// load reads the grant and keeps it in memory. The revision is that of the stored
// row.
func (c *Client) load(ctx context.Context) (*Grant, int64, *Error) {
	g, revision, e := c.read(ctx)
	if e != nil {
		return nil, 0, e
	}
	if !c.hasUnsaved() {
		c.setSnapshot(g)
		c.othersSucceeded(g)
	}
	return g, revision, nil
}

func (c *Client) read(ctx context.Context) (*Grant, int64, *Error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	g, err := c.cfg.Store.Load(ctx, c.key)
	if errors.Is(err, ErrNotFound) {
		return nil, 0, nil
	}
	if g == nil && err == nil {
		err = errors.New("the store returned neither a grant nor an error")
	}
	if err != nil {
		return nil, 0, storeError("load", err)
	}
	if g.Issuer != c.cfg.Issuer || g.ClientID != c.cfg.ClientID {
		c.log().WarnContext(ctx, "ignoring the stored grant: it is for another issuer or client id", "grant", g)
		return nil, g.Revision, nil
	}
	return g, g.Revision, nil
}

// save writes g to the store once.
func (c *Client) save(ctx context.Context, l *heldLease, g *Grant) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return c.cfg.Store.Save(ctx, l.lease, g)
}

// saveBestEffort saves g, but only logs an error. If another process has changed
// the grant, its state is loaded instead.
func (c *Client) saveBestEffort(ctx context.Context, l *heldLease, g *Grant) {
	was := g.Reported
	events := c.report(g)
	err := c.save(ctx, l, g)
	if err != nil {
		g.Reported = was
	}
	if errors.Is(err, ErrConflict) {
		c.log().WarnContext(ctx, "another process has changed the grant: the state of this process is dropped", "err", err)
		_, _, _ = c.load(context.WithoutCancel(ctx))
		return
	}
	if err != nil {
		c.log().WarnContext(ctx, "the grant's state could not be stored", "err", err)
	}
	c.setSnapshot(g)
	if err == nil {
		c.emit(events)
	}
}

// maxSaves is how often saving is tried if there is no place to spill.
const maxSaves = 6

// persist makes a grant that the provider has issued durable. After the first
// failed save it spills the grant, and later flights try the store again; without
// a spill it retries here. The token request is never repeated. Nothing of g may
// be served unless persist returns nil.
func (c *Client) persist(ctx context.Context, f *flight, l *heldLease, g *Grant) *Error {
	events := c.report(g)
	e := c.store(ctx, f, l, g)
	if e == nil {
		c.emit(events)
	}
	return e
}

// store is persist without events.
func (c *Client) store(ctx context.Context, f *flight, l *heldLease, g *Grant) *Error {
	var err error
	for i, wait := 0, 50*time.Millisecond; i < maxSaves; i, wait = i+1, 2*wait {
		if i > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		err = c.save(ctx, l, g)
		if err == nil || errors.Is(err, ErrConflict) && c.isStored(ctx, g) { // saved, although the store reported an error
			c.setUnsaved(nil, nil)
			c.setSnapshot(g)
			return nil
		}
		if errors.Is(err, ErrConflict) {
			return c.saveLate(ctx, f, g, l.replaces, err)
		}
		c.setUnsaved(g, l.replaces)
		if c.spill(ctx, g) {
			c.log().ErrorContext(ctx, "a refreshed grant could not be stored and was spilled; the store is tried again", "err", err)
			c.setSnapshot(g)
			c.fail(ctx, storeError("save", err))
			return nil
		}
	}
	c.log().ErrorContext(ctx, "a refreshed grant could not be stored", "err", err)
	return storeError("save", err)
}

// saveLate stores a grant after another process has taken the lease, for example
// because this process was stopped while the answer arrived. It replaces the
// stored grant unless that has the same generation or a later one; then g is only
// spilled.
func (c *Client) saveLate(ctx context.Context, f *flight, g *Grant, replaces *time.Time, cause error) *Error {
	ctx = context.WithoutCancel(ctx)
	c.spillConflict(ctx, g, cause) // durable before waiting for the lease
	h, e := c.lock(ctx, f)
	if e != nil {
		c.setUnsaved(g, replaces)
		return e
	}
	defer h.release()
	s, revision, e := c.read(ctx)
	switch {
	case e != nil:
	case s != nil && s.State == GrantLoggedOut && s.supersedes(g, replaces):
		if g.RefreshToken != "" {
			_ = c.revoke(ctx, g.RefreshToken) // the client is logged out
		}
		c.setUnsaved(nil, nil)
		c.setSnapshot(s)
		return loggedOut()
	case s != nil && s.supersedes(g, replaces) && !(s.LoggedIn.Equal(g.LoggedIn) && s.RefreshToken == g.RefreshToken):
		c.setUnsaved(nil, nil)
		c.setSnapshot(s)
		return storeError("save", cause)
	default:
		g.Revision = revision
		if err := c.save(ctx, h, g); err == nil {
			c.setUnsaved(nil, nil)
			c.setSnapshot(g)
			return nil
		}
	}
	c.setUnsaved(g, replaces)
	return storeError("save", cause)
}

// loginOf returns the login time of a row, zero without a row.
func loginOf(row *Grant) *time.Time {
	var at time.Time
	if row != nil {
		at = row.LoggedIn
	}
	return &at
}

// supersedes reports whether the stored grant g wins over o, which could not be
// saved. replaces is the login time of the row that o was made from, as read
// under the lease. The order of the leases decides: any other login was stored
// after o, even if the clocks disagree. Only for a login without a lease (nil: a
// device login while the store was down) the order is unknown, and the wall clock
// decides.
func (g *Grant) supersedes(o *Grant, replaces *time.Time) bool {
	switch {
	case g.State == GrantLoggedOut && replaces != nil:
		return g.Revision != o.Revision
	case g.State == GrantLoggedOut:
		return !o.LoggedIn.After(g.Exchanged)
	case g.LoggedIn.Equal(o.LoggedIn): // the same login: the generation decides
		return g.Generation >= o.Generation
	case replaces != nil:
		return !g.LoggedIn.Equal(*replaces)
	}
	return g.LoggedIn.After(o.LoggedIn)
}

// isStored reports whether the store has g itself, and then sets its revision.
func (c *Client) isStored(ctx context.Context, g *Grant) bool {
	s, revision, e := c.read(context.WithoutCancel(ctx))
	if e != nil || s == nil || s.Generation != g.Generation || s.RefreshToken != g.RefreshToken || s.State != g.State {
		return false
	}
	g.Revision = revision
	return true
}

// spillConflict spills a grant that could not be saved because another process
// had changed the stored one.
func (c *Client) spillConflict(ctx context.Context, g *Grant, err error) {
	kept := c.spill(ctx, g)
	c.log().ErrorContext(ctx, "another process has changed the grant during a refresh", "spilled", kept, "err", err)
}

// spill spills g and reports whether it is durable.
func (c *Client) spill(ctx context.Context, g *Grant) bool {
	s, ok := c.cfg.Store.(Spiller)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := s.Spill(ctx, c.key, g); err != nil {
		c.log().ErrorContext(ctx, "a refreshed grant could not be spilled", "err", err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spilled = g.Generation
	return true
}

// setUnsaved records that g is not in the store. For replaces see
// [Grant.supersedes].
func (c *Client) setUnsaved(g *Grant, replaces *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g != nil {
		g = g.clone()
	}
	c.unsaved, c.replaces = g, replaces
}

// flushUnsaved saves the unsaved grant, under the lease. Until it succeeds no
// request is sent, because the stored refresh token is already used. A grant that
// the store has loaded from its spill is saved in the same way.
func (c *Client) flushUnsaved(ctx context.Context, l *heldLease) *Error {
	c.mu.Lock()
	g, replaces := c.unsaved, c.replaces
	c.mu.Unlock()
	if g == nil {
		return nil
	}
	s, revision, e := c.read(ctx)
	if e != nil {
		return e
	}
	g = g.clone()
	if s != nil && s.supersedes(g, replaces) {
		g = s // a logout, a later login, another process's grant, or the spilled one
	}
	g.Revision = revision
	if err := c.save(ctx, l, g); err != nil {
		return storeError("save", err)
	}
	c.setUnsaved(nil, nil)
	c.succeeded()
	return nil
}

// flushNow is flushUnsaved under a lease of its own.
func (c *Client) flushNow(ctx context.Context, f *flight) *Error {
	l, e := c.lock(ctx, f)
	if e != nil {
		return e
	}
	defer l.release()
	return c.flushUnsaved(ctx, l)
}

// fingerprint returns a hash of a secret.
func fingerprint(s Secret) string {
	h := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
