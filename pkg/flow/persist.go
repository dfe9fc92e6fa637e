package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// load reads the grant and makes it what this process knows. The revision is
// that of the stored row, also when it is of another issuer or client, and then
// the grant is nil: it is never used.
func (c *Client) load(ctx context.Context) (*Grant, int64, *Error) {
	g, revision, e := c.read(ctx)
	if e != nil {
		return nil, 0, e
	}
	c.mu.Lock()
	newer := c.unsaved
	c.mu.Unlock()
	if newer == nil {
		c.adopt(g)
	}
	return g, revision, nil
}

func (c *Client) read(ctx context.Context) (*Grant, int64, *Error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	g, err := c.cfg.Store.Load(ctx, c.cfg.Name)
	if errors.Is(err, ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, storeError("load", err)
	}
	if g.Issuer != c.cfg.Issuer || g.ClientID != c.cfg.ClientID {
		c.cfg.Log.Warn("the stored grant is of another issuer or client and is not used", "grant", g)
		return nil, g.Revision, nil
	}
	return g, g.Revision, nil
}

// save writes once.
func (c *Client) save(ctx context.Context, l *held, g *Grant) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	return c.cfg.Store.Save(ctx, l.lease, g)
}

// note writes what is good to have stored, but not worth failing for.
func (c *Client) note(ctx context.Context, l *held, g *Grant) {
	if err := c.save(ctx, l, g); err != nil {
		c.cfg.Log.Warn("the grant's state could not be stored", "err", err)
	}
	c.adopt(g)
}

// writes is how often a grant is written before it is put aside.
const writes = 6

// persist makes a grant that the tenant has handed out durable. The write is
// repeated, never the request that led to it; a store that stays down leaves
// the spill. Nothing of g is served unless it returns nil.
func (c *Client) persist(ctx context.Context, l *held, g *Grant) *Error {
	var err error
	for i, wait := 0, 50*time.Millisecond; i < writes; i, wait = i+1, 2*wait {
		if i > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		if err = c.save(ctx, l, g); err == nil {
			c.setUnsaved(nil)
			c.adopt(g)
			return nil
		}
		if errors.Is(err, ErrConflict) {
			if c.isStored(ctx, g) { // by a write that failed only to say so
				c.setUnsaved(nil)
				c.adopt(g)
				return nil
			}
			return c.aside(ctx, g, err)
		}
	}
	e := storeError("save", err)
	c.setUnsaved(g)
	c.cfg.Log.Error("a refreshed grant could not be stored", "err", err)
	if c.spill(ctx, g) {
		c.adopt(g)
		c.fail(e)
		return nil
	}
	return e
}

// isStored reports whether the store has g itself, and takes its revision then.
func (c *Client) isStored(ctx context.Context, g *Grant) bool {
	s, revision, e := c.read(context.WithoutCancel(ctx))
	if e != nil || s == nil || s.Generation != g.Generation || s.RefreshToken != g.RefreshToken || s.State != g.State {
		return false
	}
	g.Revision = revision
	return true
}

// aside keeps a grant that lost against another process's change.
func (c *Client) aside(ctx context.Context, g *Grant, err error) *Error {
	kept := c.spill(ctx, g)
	c.cfg.Log.Error("another process has changed the grant during a refresh", "spilled", kept, "err", err)
	return storeError("save", err)
}

func (c *Client) spill(ctx context.Context, g *Grant) bool {
	s, ok := c.cfg.Store.(Spiller)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := s.Spill(ctx, c.cfg.Name, g); err != nil {
		c.cfg.Log.Error("a refreshed grant could not be spilled", "err", err)
		return false
	}
	return true
}

func (c *Client) setUnsaved(g *Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g != nil {
		g = g.clone()
	}
	c.unsaved = g
}

// settle stores what could not be stored before, under the lease. Until it
// succeeds no request is made: the stored refresh token is a spent one.
func (c *Client) settle(ctx context.Context, l *held) *Error {
	c.mu.Lock()
	g := c.unsaved
	c.mu.Unlock()
	if g == nil {
		return nil
	}
	s, revision, e := c.read(ctx)
	if e != nil {
		return e
	}
	if s != nil && (s.LoggedIn.After(g.LoggedIn) || s.LoggedIn.Equal(g.LoggedIn) && s.Generation >= g.Generation) {
		c.setUnsaved(nil) // the store has taken the spill up, or there was a new login
		return nil
	}
	g = g.clone()
	g.Revision = revision
	if err := c.save(ctx, l, g); err != nil {
		return storeError("save", err)
	}
	c.setUnsaved(nil)
	c.succeeded()
	return nil
}

// fingerprint identifies a secret without telling it.
func fingerprint(s Secret) string {
	h := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
