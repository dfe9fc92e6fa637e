package flow

import "time"

// Refresh is an attempt to get tokens from the provider without a person: with the
// refresh token, with another credential, or by a headless login. It has no secret.
type Refresh struct {
	Client string
	Class  Class         // of the error; "" if it succeeded
	Took   time.Duration // until its tokens were verified and stored, without the wait for the lease
}

// refreshed reports an attempt that began at that time, by the monotonic clock.
func (c *Client) refreshed(began time.Time, e *Error) {
	if c.cfg.OnRefresh == nil {
		return
	}
	r := Refresh{Client: c.cfg.Name, Took: time.Since(began)}
	if e != nil {
		r.Class = e.Class
	}
	c.cfg.OnRefresh(r)
}
