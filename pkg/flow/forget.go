package flow

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Forget revokes the refresh token at the provider (RFC 7009) and deletes the
// grant. If the provider does not answer or limits the rate, the grant is kept
// and the error returned, so that a retry can revoke it. If the provider cannot
// revoke or refuses to, the grant is deleted here and the error says that it is
// still valid there. Afterwards the client does not log in by itself.
func (c *Client) Forget(ctx context.Context) error {
	c.mu.Lock()
	if p := c.polling; p != nil && !p.isDone() {
		p.loggedOut = true
		p.cancel()
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
	hadToken := g != nil && g.RefreshToken != "" && !g.Moved // the grant of another store is not revoked
	var refused *Error
	if hadToken {
		if refused = c.revoke(ctx, g.RefreshToken); refused != nil {
			if isTransient(refused) {
				refused.Hint = strings.TrimPrefix(refused.Hint+"; ", "; ") + "try again: the grant is kept until the provider has revoked it"
				c.log().WarnContext(ctx, "the grant was not revoked and is kept", "class", refused.Class, "status", refused.Status)
				return refused
			}
			refused.Description = cmp.Or(refused.Description, "the revocation failed") + ": the grant is deleted here but still valid there"
			refused.Hint = "revoke it in the provider's dashboard"
		}
	}
	if err := c.dropLogins(ctx); err != nil {
		return storeError("forget", err)
	}
	if err := c.storeLogout(ctx, l, g, revision, corrupt); err != nil {
		return storeError("forget", err)
	}
	c.mu.Lock()
	c.failure, c.failedAt, c.unsaved = nil, nil, nil
	c.nextRefresh = time.Time{} // it was planned for the deleted grant
	clear(c.backoffs)
	clear(c.noGainRuns)
	c.mu.Unlock()
	c.log().InfoContext(ctx, "forgotten", "revoked", hadToken && refused == nil)
	return refused
}

// dropLogins drops the client's pending logins.
func (c *Client) dropLogins(ctx context.Context) error {
	k := c.keeper()
	if k == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return k.DropLogins(ctx, c.key)
}

// storeLogout stores a logout in place of the grant, so that every process and
// every later start respects it.
func (c *Client) storeLogout(ctx context.Context, l *heldLease, g *Grant, revision int64, corrupt bool) error {
	if corrupt {
		dctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if err := c.cfg.Store.Delete(dctx, c.key); err != nil {
			return err
		}
		revision = 0
	}
	t := c.emptyGrant(nil, revision)
	t.State, t.LoggedIn = GrantLoggedOut, time.Time{}
	t.Exchanged = c.cfg.Now().Round(0) // the time of the logout: a later unsaved login supersedes it
	if g != nil {
		t.Generation, t.LoggedIn, t.Seed, t.Reported = g.Generation, g.LoggedIn, g.Seed, g.Reported
	}
	events := c.report(t)
	if err := c.save(ctx, l, t); err != nil {
		return err
	}
	c.setSnapshot(t)
	c.emit(events)
	return nil
}

// isTransient reports whether a failed revocation may succeed later. A certificate that
// is not trusted is a config error, but may be replaced.
func isTransient(e *Error) bool {
	untrusted := e.Class == ClassConfig && e.Err != nil && e.Status == 0
	return e.local || untrusted || e.Class == ClassUnreachable || e.Class == ClassTimeout || e.Class == ClassRateLimited
}

// revoke revokes a refresh token at the provider, with all tokens issued from it.
func (c *Client) revoke(ctx context.Context, token Secret) *Error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	m, err := c.provider.discover(ctx)
	if err != nil {
		return asError("revoke", err)
	}
	if m.Revocation == "" {
		return &Error{Op: "revoke", Class: ClassBadResponse, Description: "the provider announces no revocation_endpoint"}
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
	_, _ = readBody(r.Body) // RFC 7009: only the status matters
	if r.StatusCode != http.StatusOK {
		return statusError("revoke", r, c.cfg.Now())
	}
	return nil
}
