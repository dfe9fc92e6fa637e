package flow

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	lateBy    = time.Second     // if a deadline fires this late, the process was stopped or the machine slept
	lateGrace = 2 * time.Second // to read an answer that has arrived since
)

// sendOptions are the options of one token request.
type sendOptions struct {
	timeout    time.Duration // for the whole request; 0: postTimeout
	checkLease func() *Error // called right before the first byte of the body; nil: no check
}

// send sends a token request and reads the body of the answer, but does not
// interpret it. Without an answer r is nil and err an [*Error]; with one, err
// says why its body could not be read. The request counts as sent once its body
// was read, because the refresh token is in the body.
func (c *Client) send(ctx context.Context, op, endpoint string, form url.Values, opts sendOptions) (r *http.Response, body []byte, o outcome, err error) {
	ctx, cancel := withDeadline(ctx, opts.timeout)
	defer cancel()
	req, err := c.tokenRequest(ctx, endpoint, form)
	if err != nil {
		return nil, nil, notSent, requestError(op, err)
	}
	b := &guardedBody{Reader: req.Body, checkLease: opts.checkLease}
	defer b.detach()
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { b.attach(i.Conn) },
	}))
	req.Body = b
	r, err = c.http.Do(req)
	switch {
	case err == nil:
		body, err = readBody(r.Body)
		return r, body, unknown, deadlineError(ctx, err)
	case b.refused.Load() != nil:
		return nil, nil, notSent, b.refused.Load()
	case !b.read.Load():
		return nil, nil, notSent, networkError(op, deadlineError(ctx, err))
	}
	return nil, nil, unknown, networkError(op, deadlineError(ctx, err))
}

// withDeadline is [context.WithTimeout] with a grace period if the deadline fires
// late, because the process was stopped or the machine slept: an answer that has
// arrived is still read.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		d = postTimeout
	}
	ctx, cancel := context.WithCancelCause(ctx)
	began := time.Now()
	var grace atomic.Pointer[time.Timer]
	t := time.AfterFunc(d, func() {
		if time.Since(began) < d+lateBy {
			cancel(errDeadline{})
			return
		}
		grace.Store(time.AfterFunc(lateGrace, func() { cancel(errDeadline{}) }))
	})
	return ctx, func() {
		t.Stop()
		if g := grace.Load(); g != nil {
			g.Stop()
		}
		cancel(context.Canceled)
	}
}

// errDeadline is the cause of a context that withDeadline has canceled.
type errDeadline struct{}

func (errDeadline) Error() string   { return "no answer in time" }
func (errDeadline) Timeout() bool   { return true }
func (errDeadline) Temporary() bool { return true } // part of [net.Error]

// deadlineError returns err, or errDeadline if that ended ctx.
func deadlineError(ctx context.Context, err error) error {
	if d, late := context.Cause(ctx).(errDeadline); late && err != nil { //nolint:errorlint // the cause itself
		return d
	}
	return err
}

// tokenRequest builds the request. Its body cannot be rewound, so the HTTP
// transport cannot send it a second time.
func (c *Client) tokenRequest(ctx context.Context, endpoint string, form url.Values) (*http.Request, error) {
	secret, err := c.clientSecret(ctx)
	if err != nil {
		return nil, err
	}
	switch c.cfg.Auth {
	case AuthPost:
		form.Set("client_id", c.cfg.ClientID)
		form.Set("client_secret", secret.Reveal())
	case AuthNone:
		form.Set("client_id", c.cfg.ClientID)
	case AuthPrivateKeyJWT:
		if err := c.assert(ctx, form); err != nil {
			return nil, err
		}
	}
	body := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	setRequestID(ctx, req.Header)
	if c.cfg.Auth == AuthBasic { // form-encoded before Basic: RFC 6749 section 2.3.1
		req.SetBasicAuth(url.QueryEscape(c.cfg.ClientID), url.QueryEscape(secret.Reveal()))
	}
	return req, nil
}
