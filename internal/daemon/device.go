package daemon

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// deviceAnswer is a device login that has begun. From then on the client
// polls the provider; its state shows the result.
type deviceAnswer struct {
	Client                  string    `json:"client"`
	VerificationURIComplete string    `json:"verification_uri_complete"`
	VerificationURI         string    `json:"verification_uri"`
	UserCode                string    `json:"user_code"`
	ExpiresAt               time.Time `json:"expires_at"`
	ExpiresIn               int64     `json:"expires_in"` // seconds
	Interval                int       `json:"interval"`   // between polls, seconds
}

// device reports whether a person logs the client in with a code, on any device.
func (c Client) device() bool { return c.Login == "device" }

// startDevice begins a device login, or answers with the pending one.
func (d *api) startDevice(c *gin.Context, cl *client) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), callTimeout)
	defer cancel()
	defer cl.life.use()()
	l, err := cl.Client.Client.Login(ctx)
	if err != nil {
		d.log.WarnContext(ctx, "login failed", failureOf(ctx, cl, err)...)
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, deviceAnswer{
		Client: cl.Name(), VerificationURIComplete: l.URL, VerificationURI: l.VerificationURI, UserCode: l.UserCode,
		ExpiresAt: l.Expires.UTC().Truncate(time.Second), ExpiresIn: int64(l.Expires.Sub(d.now()) / time.Second), Interval: l.Interval,
	})
}

// pendingDevice adds to p a device login that waits for a person.
func pendingDevice(cl *client, p *problem) {
	if l := cl.Status().DeviceLogin; l != nil && l.Failure == nil {
		p.VerificationURIComplete, p.UserCode = l.URL, l.UserCode
	}
}
