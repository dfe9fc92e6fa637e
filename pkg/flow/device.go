package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// Times of a device login (RFC 8628 section 3).
const (
	deviceInterval = 5 * time.Second // default between polls, and what slow_down adds
	deviceSlowest  = time.Minute
	deviceLongest  = time.Hour
	deviceBackoff  = "device" // back-off of device logins, for a rate limit
)

// DeviceLogin is a pending or failed device login, as [Status] shows it.
type DeviceLogin struct {
	URL             string    `json:"verification_uri_complete"` // where a person confirms; contains the code if the provider supports that
	VerificationURI string    `json:"verification_uri"`          // where the person types the code
	UserCode        string    `json:"user_code"`
	Expires         time.Time `json:"expires"`
	Failure         *Failure  `json:"failure,omitempty"` // why it failed
}

// poll polls the token endpoint until a person has decided.
type poll struct {
	login     Login
	pending   PendingLogin // of login
	began     bool         // by this process, so no other one has polled yet
	lease     *heldLease   // the right to poll; nil: another process has it, or the store keeps no logins
	stop      chan struct{}
	once      sync.Once
	loggedOut bool // Forget was called since; guarded by Client.mu
	done      chan struct{}
	err       *Error // err and failure are set before done is closed
	failure   *Failure
}

func (p *poll) cancel() { p.once.Do(func() { close(p.stop) }) }

// active reports whether polling continues.
func (p *poll) active() bool {
	select {
	case <-p.stop:
		return false
	default:
		return !p.isDone()
	}
}

func (p *poll) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// loginDevice begins a device login, or returns the pending one, which another
// process may have begun, while at least half of its time is left. Only one code is
// polled for at a time.
func (c *Client) loginDevice(ctx context.Context) (Login, error) {
	return c.device.get(ctx, &c.tasks, func(ctx context.Context) (Login, error) {
		c.mu.Lock()
		p, held := c.polling, c.backoffs[deviceBackoff].active(c.cfg.Now())
		c.mu.Unlock()
		if held != nil {
			return Login{}, held
		}
		if now := c.cfg.Now(); p != nil && p.active() && p.login.Expires.Sub(now) >= now.Sub(p.pending.Started) {
			return p.login, nil
		}
		if l, ok := c.pendingDevice(ctx); ok && l.Login.Expires.Sub(c.cfg.Now()) >= c.cfg.Now().Sub(l.Started) {
			return c.startPolling(l, false).login, nil
		}
		m, err := c.provider.endpoints(ctx)
		if err != nil {
			return Login{}, err
		}
		l, e := c.authorizeDevice(ctx, m)
		if e != nil {
			if e.Class == ClassRateLimited {
				c.backOff(deviceBackoff, e)
			}
			return Login{}, e
		}
		pending, e := c.keepDevice(ctx, l)
		if e != nil {
			return Login{}, e
		}
		return c.startPolling(pending, true).login, nil
	})
}

// authorizeDevice requests a device code (RFC 8628 section 3.1).
func (c *Client) authorizeDevice(ctx context.Context, m *metadata) (Login, *Error) {
	const op = "login"
	form := url.Values{}
	setParams(form, c.cfg.Audience, c.cfg.Scopes)
	c.setResources(form, "")
	r, body, _, err := c.send(ctx, op, m.Device, form, sendOptions{})
	if r == nil {
		return Login{}, asError(op, err)
	}
	v, perr := members(trimBody(body), deviceNames...)
	if r.StatusCode/100 != 2 || err != nil || errorCode(v) != "" {
		if _, _, e := c.classify(op, r, body, err, form); e != nil {
			return Login{}, e
		}
	}
	bad := &Error{Op: op, Class: ClassBadResponse, Status: r.StatusCode}
	if perr != nil {
		bad.Description = "the answer " + perr.Error()
		return Login{}, bad
	}
	l, what := c.deviceAnswer(v)
	if what != "" {
		bad.Description = "the answer's " + what
		return Login{}, bad
	}
	return l, nil
}

var deviceNames = []string{
	"device_code", "user_code", "verification_uri", "verification_url", "verification_uri_complete", "expires_in", "interval", "error", "error_description",
}

// deviceAnswer reads the answer of RFC 8628 section 3.2, or returns what is wrong
// with it. A person follows the URLs, so they are checked like the provider's
// endpoints.
func (c *Client) deviceAnswer(v map[string]json.RawMessage) (l Login, what string) {
	code, _ := text(v, "device_code")
	user, _ := text(v, "user_code")
	at, _ := text(v, "verification_uri")
	if google, _ := text(v, "verification_url"); at == "" {
		at = google
	}
	complete, _ := text(v, "verification_uri_complete")
	life, ok := lifetime(v["expires_in"])
	interval, _ := lifetime(v["interval"])
	switch {
	case code == "" || !vschar(code):
		return l, "device_code is not a token"
	case user == "" || user != clean(user, 64):
		return l, "user_code is not a code"
	case c.cfg.checkURL(at) != "":
		return l, fmt.Sprintf("verification_uri %q %s", clean(at, 256), c.cfg.checkURL(at))
	case complete != "" && c.cfg.checkURL(complete) != "":
		return l, fmt.Sprintf("verification_uri_complete %s", c.cfg.checkURL(complete))
	case !ok || life == 0:
		return l, "expires_in is not a lifetime"
	}
	return Login{
		Client: c.cfg.Name, URL: cmp.Or(complete, at), DeviceCode: Secret(code), UserCode: user, VerificationURI: at,
		Interval: int(max(1, min(cmp.Or(interval, deviceInterval), deviceSlowest)/time.Second)),
		Audience: c.cfg.Audience, Scopes: c.cfg.Scopes, Expires: c.cfg.Now().Round(0).Add(min(life, deviceLongest)),
	}, ""
}

// startPolling begins to poll for a login and cancels the previous poll.
func (c *Client) startPolling(l PendingLogin, began bool) *poll {
	p := &poll{login: l.Login, pending: l, began: began, stop: make(chan struct{}), done: make(chan struct{})}
	c.mu.Lock()
	if c.polling != nil {
		c.polling.cancel()
	}
	c.polling = p
	c.mu.Unlock()
	if began {
		c.lockDevice(p) // the store may fail later
	}
	c.tasks.start(func() {
		p.err = c.pollUntilDecided(p)
		c.endDevice(p)
		if p.err != nil {
			p.failure = c.failureOf(p.err)
			c.log().Warn("a device login failed", "class", p.err.Class, "code", p.err.Code)
		}
		close(p.done)
		c.wake()
		c.announce()
	})
	c.announce()
	return p
}

// finishDevice waits for a device login, which another process may have begun.
func (c *Client) finishDevice(ctx context.Context, l Login) (*Grant, error) {
	c.mu.Lock()
	p := c.polling
	c.mu.Unlock()
	if p == nil || p.login.DeviceCode != l.DeviceCode {
		if l.DeviceCode == "" || l.Client != c.cfg.Name || !c.cfg.Now().Before(l.Expires) {
			return nil, &Error{Op: "finish", Class: ClassRequest, Err: ErrState, Description: "there is no such pending device login", Hint: "begin a new login"}
		}
		pending, known := c.pendingDevice(ctx)
		if known = known && pending.Login.DeviceCode == l.DeviceCode; !known {
			var e *Error
			if pending, e = c.keepDevice(ctx, l); e != nil {
				return nil, e
			}
		}
		p = c.startPolling(pending, !known)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, &Error{Op: "finish", Class: ClassTimeout, Description: "the code is not confirmed yet", Hint: "the login is still pending", Err: ctx.Err()}
	}
	if p.err != nil {
		return nil, p.err
	}
	return c.grant(), nil
}

// pollUntilDecided polls (RFC 8628 sections 3.4 and 3.5) until the person
// decides, the code expires or the client ends: not faster than the provider
// allows, and slower while it is unreachable. While another process polls, it waits
// for the end of the login there.
func (c *Client) pollUntilDecided(p *poll) *Error {
	l := p.login
	interval := time.Duration(max(1, l.Interval)) * time.Second
	wait := interval
	for {
		left := l.Expires.Sub(c.cfg.Now())
		if !p.pause(min(wait, left)) {
			return &Error{Op: "login", Class: ClassTimeout, Description: "the device login was canceled", Hint: "begin a new login"}
		}
		if wait >= left {
			return &Error{Op: "login", Class: ClassLoginRequired, Code: "expired_token", Description: "the code expired before anybody confirmed it", Hint: "begin a new login"}
		}
		switch c.pollState(p) {
		case pollNot:
			wait = interval
			continue
		case pollEnded:
			return c.endedElsewhere(p)
		}
		sent := c.cfg.Now().Round(0)
		a, o, e := c.pollOnce(l)
		switch {
		case o == succeeded:
			c.skew(a.date, sent)
			return c.saveDeviceGrant(p, a, sent)
		case e.Code == "authorization_pending":
			wait = interval
		case e.Code == "slow_down":
			interval += deviceInterval
			wait = interval
		case e.Class == ClassRateLimited:
			wait = max(interval, e.RetryAfter)
		case o == unknown || o == notSent:
			wait = min(2*wait, max(interval, deviceSlowest))
		default:
			return c.deviceError(e)
		}
	}
}

func (p *poll) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.stop:
		return false
	}
}

// deviceError returns the error of a device login without a grant.
func (c *Client) deviceError(e *Error) *Error {
	switch {
	case e.Code == "expired_token", e.Code == "invalid_grant":
		e.Class, e.Hint = ClassLoginRequired, "begin a new login"
	case e.Hint == "":
		e.Hint = "begin a new login"
	}
	return e
}

// saveDeviceGrant stores the grant of a device login, in a flight of its own. A
// person has logged in for it, so a long queue, a busy lease or a failing store
// must not lose it.
func (c *Client) saveDeviceGrant(p *poll, a answer, sent time.Time) *Error {
	ctx, cancel := context.WithTimeout(context.Background(), flightTimeout)
	defer cancel()
	g, e := c.grantOf(ctx, p.login, a, sent)
	if e != nil {
		return e
	}
	for range deviceSaves {
		ran := false
		f := c.launch(ctx, "device "+fingerprint(p.login.DeviceCode), func(ctx context.Context, f *flight) {
			ran = true
			f.err = c.storeDevice(ctx, f, p, g)
		})
		if <-f.done; ran {
			return f.err
		}
		e = f.err
	}
	c.spill(ctx, g) // the store finds it there; only a flight may change this client's state
	return e
}

// deviceSaves is how often saveDeviceGrant starts a flight.
const deviceSaves = 5

// spillDevice spills a grant that storeDevice could not store because of cause,
// unless another process has a later one or the client was logged out. For
// replaces see [Grant.supersedes].
func (c *Client) spillDevice(ctx context.Context, p *poll, g *Grant, replaces *time.Time, cause *Error) *Error {
	if errors.Is(cause, ErrConflict) || cause.Class == ClassLoginRequired { // logged out: the grant was revoked
		return cause
	}
	if c.loggedOutSince(p) { // since storeDevice checked
		_ = c.revoke(ctx, g.RefreshToken)
		return cause
	}
	keepRefreshToken(g, c.grant())
	c.setUnsaved(g, replaces) // Run stores it when it can
	if !c.spill(ctx, g) {
		return cause
	}
	c.setSnapshot(g)
	c.clearLoginFailures()
	return nil
}

// loggedOutSince reports whether Forget was called since the device login began.
func (c *Client) loggedOutSince(p *poll) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.loggedOut
}

var errLoggedOut = errors.New("the client was logged out during the login")

// storeDevice stores a grant under the lease, or else spills it, unless Forget
// was called before.
func (c *Client) storeDevice(ctx context.Context, f *flight, p *poll, g *Grant) *Error {
	if c.loggedOutSince(p) {
		return c.dropDeviceGrant(ctx, g)
	}
	h, e := c.lock(ctx, f)
	if e != nil {
		return c.spillDevice(ctx, p, g, nil, e)
	}
	defer h.release()
	prior, revision, e := c.read(ctx)
	if e != nil {
		return c.spillDevice(ctx, p, g, nil, e)
	}
	if c.loggedOutElsewhere(p, prior) {
		return c.dropDeviceGrant(ctx, g)
	}
	g.Revision = revision
	if e := c.storeLogin(ctx, f, h, g, prior); e != nil {
		return c.spillDevice(ctx, p, g, h.replaces, e)
	}
	c.clearLoginFailures()
	return nil
}

// dropDeviceGrant revokes the grant of a login that a logout has ended.
func (c *Client) dropDeviceGrant(ctx context.Context, g *Grant) *Error {
	_ = c.revoke(ctx, g.RefreshToken) // the grant is not kept
	return &Error{Op: "login", Class: ClassLoginRequired, Err: errLoggedOut, Hint: "begin a new login"}
}
