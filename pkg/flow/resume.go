package flow

import "context"

// Resume lets a grant be refreshed again whose store was put back to an older
// copy ([ClassRestored]). If its refresh token was used after that copy was made,
// the next refresh makes the provider revoke the grant. It does nothing for a
// grant that was not restored.
func (c *Client) Resume(ctx context.Context) error {
	return c.do(ctx, "resume", c.resume)
}

func (c *Client) resume(ctx context.Context, f *flight) *Error {
	l, e := c.lock(ctx, f)
	if e != nil {
		return e
	}
	defer l.release()
	g, _, e := c.load(ctx)
	if e != nil || g == nil || !g.Restored {
		return e
	}
	g.Restored = false
	if err := c.save(ctx, l, g); err != nil {
		return storeError("resume", err)
	}
	c.setSnapshot(g)
	c.cfg.Log.Warn("resumed by hand: the refresh token of an older copy of the store is used", "generation", g.Generation)
	return nil
}
