package flow

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Forget revokes the refresh token at the tenant (RFC 7009) and deletes the
// grant. While the tenant does not answer, or asks to wait, the grant is kept and
// that error returned: trying again revokes it. A tenant that cannot revoke, or
// refuses to, does not keep the grant here; it is deleted, and the error says
// that it lives on there. Once it is deleted nothing signs in again unasked.
func (c *Client) Forget(ctx context.Context) error {
	c.mu.Lock()
	if p := c.polling; p != nil && !p.over() {
		p.void = true
		p.end()
	}
	c.mu.Unlock()
	return c.do(ctx, "forget", c.forget)
}

func (c *Client) forget(ctx context.Context, f *flight) *Error {
	l, e := c.lock(ctx, f)
	if e != nil {
		return e
	}
	defer l.release()
	g, revision, e := c.read(ctx)
	if e != nil && e.Class != ClassStoreCorrupt {
		return e
	}
	corrupt := e != nil
	c.mu.Lock()
	if c.unsaved != nil {
		g = c.unsaved
	}
	c.mu.Unlock()
	asked := g != nil && g.RefreshToken != ""
	var refused *Error
	if asked {
		if refused = c.revoke(ctx, g.RefreshToken); refused != nil {
			if passes(refused) {
				refused.Hint = strings.TrimPrefix(refused.Hint+"; ", "; ") + "try again: the grant is kept until the tenant has revoked it"
				c.cfg.Log.Warn("not forgotten", "class", refused.Class, "status", refused.Status)
				return refused
			}
			refused.Description = cmp.Or(refused.Description, "the revocation failed") + ": the grant is deleted here and lives on there"
			refused.Hint = "revoke it in the tenant's dashboard"
		}
	}
	if err := c.bury(ctx, l, g, revision, corrupt); err != nil {
		return storeError("forget", err)
	}
	c.mu.Lock()
	c.failure, c.unsaved = nil, nil
	c.next = time.Time{} // what was planned was of the grant
	clear(c.gates)
	clear(c.stalls)
	c.mu.Unlock()
	c.cfg.Log.Info("forgotten", "revoked", asked && refused == nil)
	return refused
}

// bury stores in the grant's place that somebody has logged out, so that every
// process and every later start respects it.
func (c *Client) bury(ctx context.Context, l *held, g *Grant, revision int64, corrupt bool) error {
	if corrupt {
		dctx, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		if err := c.cfg.Store.Delete(dctx, c.key); err != nil {
			return err
		}
		revision = 0
	}
	t := c.blank(nil, revision)
	t.State, t.LoggedIn = GrantLoggedOut, time.Time{}
	t.Exchanged = c.cfg.Now().Round(0) // of the logout: a later login that could not be stored yet counts
	if g != nil {
		t.Generation, t.LoggedIn, t.Seed = g.Generation, g.LoggedIn, g.Seed
	}
	if err := c.save(ctx, l, t); err != nil {
		return err
	}
	c.setSnapshot(t)
	return nil
}

// passes says whether a revocation that failed may work later. A certificate that is
// not trusted is a fault of the configuration, and may be of this moment.
func passes(e *Error) bool {
	untrusted := e.Class == ClassConfig && e.Err != nil && e.Status == 0
	return e.local || untrusted || e.Class == ClassUnreachable || e.Class == ClassTimeout || e.Class == ClassRateLimited
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
		return &Error{Op: "revoke", Class: ClassBadResponse, Description: "the tenant announces no revocation_endpoint"}
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {"refresh_token"}}
	req, err := c.tokenRequest(ctx, m.Revocation, form)
	if err != nil {
		return requestError("revoke", err)
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
