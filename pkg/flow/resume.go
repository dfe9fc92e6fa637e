package flow

import "context"

// Resume allows a grant to be refreshed again after an older copy of its store
// was restored, or after it was exported ([ClassRestored]). If its refresh token was
// used after the copy was made, or by the other store, the provider revokes the grant
// at the next refresh. Resume has no effect on other grants.
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
	if e != nil || g == nil || !g.Restored && !g.Moved {
		return e
	}
	g.Restored, g.Moved = false, false
	if err := c.save(ctx, l, g); err != nil {
		return storeError("resume", err)
	}
	c.setSnapshot(g)
	c.log().WarnContext(ctx, "resumed manually: the refresh token of an older copy of the store, or of an exported grant, is used", "generation", g.Generation)
	return nil
}
