package flow

import (
	"context"
	"net/http"
	"net/url"
)

// Forget revokes the refresh token at the tenant (RFC 7009) and deletes the
// grant. The grant is deleted even when the tenant does not answer; that error
// is returned then. Afterwards nothing signs in again unasked.
func (c *Client) Forget(ctx context.Context) error {
	c.mu.Lock()
	if p := c.polling; p != nil && !p.over() {
		p.void = true
		p.end()
	}
	c.mu.Unlock()
	f := c.launch("forget", func(ctx context.Context, f *flight) { f.err = c.forget(ctx, f) })
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

func (c *Client) forget(ctx context.Context, f *flight) *Error {
	l, e := c.lock(ctx, f)
	if e != nil {
		return e
	}
	defer l.release()
	g, _, e := c.read(ctx)
	if e != nil && e.Class != ClassStoreCorrupt {
		return e
	}
	c.mu.Lock()
	if c.unsaved != nil {
		g, c.unsaved = c.unsaved, nil
	}
	c.mu.Unlock()
	var revoked *Error
	if g != nil && g.RefreshToken != "" {
		revoked = c.revoke(ctx, g.RefreshToken)
	}
	dctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if err := c.cfg.Store.Delete(dctx, c.cfg.Name); err != nil {
		return storeError("forget", err)
	}
	c.adopt(nil)
	c.mu.Lock()
	c.forgotten, c.failure = true, nil
	clear(c.gates)
	c.mu.Unlock()
	c.cfg.Log.Info("forgotten", "revoked", revoked == nil)
	return revoked
}

// revoke ends a refresh token at the tenant, with all that came of it.
func (c *Client) revoke(ctx context.Context, token Secret) *Error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	m, err := c.idp.discover(ctx)
	if err != nil {
		return asError("revoke", err)
	}
	if m.Revocation == "" {
		return &Error{
			Op: "revoke", Class: ClassBadResponse, Description: "the tenant announces no revocation_endpoint: the grant is deleted here and lives on there",
			Hint: "revoke it in the tenant's dashboard",
		}
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {"refresh_token"}}
	req, err := c.tokenRequest(ctx, m.Revocation, form)
	if err != nil {
		return &Error{Op: "revoke", Class: ClassConfig, Err: err}
	}
	r, err := c.http.Do(req)
	if err != nil {
		return networkError("revoke", err)
	}
	_, _ = readBody(r.Body) // RFC 7009: the status says it all
	if r.StatusCode != http.StatusOK {
		return statusError("revoke", r, c.cfg.Now())
	}
	return nil
}
