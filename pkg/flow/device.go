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

// The times of a device login (RFC 8628 section 3).
const (
	deviceInterval = 5 * time.Second // between polls where the tenant does not say; and what slow_down adds
	deviceSlowest  = time.Minute
	deviceLongest  = time.Hour
	deviceGate     = "device" // holds logins back while the tenant's rate limit does
)

// DeviceLogin is a device login as [Status] shows it: pending, or failed.
type DeviceLogin struct {
	URL             string    `json:"verification_uri_complete"` // where a person confirms; the code is in it where the tenant does that
	VerificationURI string    `json:"verification_uri"`          // where he types the code
	UserCode        string    `json:"user_code"`
	Expires         time.Time `json:"expires"`
	Failure         *Failure  `json:"failure,omitempty"` // why it ended
}

// poll asks the tenant what a person has decided, until he has.
type poll struct {
	login   Login
	begun   time.Time
	stop    chan struct{}
	once    sync.Once
	void    bool // forgotten meanwhile; guarded by Client.mu
	done    chan struct{}
	err     *Error // set before done is closed, as is what Status shows of it
	failure *Failure
}

func (p *poll) end() { p.once.Do(func() { close(p.stop) }) }

// alive reports whether the tenant is polled, and will be.
func (p *poll) alive() bool {
	select {
	case <-p.stop:
		return false
	default:
		return !p.over()
	}
}

func (p *poll) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// loginDevice begins a device login, or returns the one that is pending while
// it has half its time left: one code at a time is polled for.
func (c *Client) loginDevice(ctx context.Context) (Login, error) {
	return c.device.get(ctx, &c.tasks, func(ctx context.Context) (Login, error) {
		c.mu.Lock()
		p, held := c.polling, c.gates[deviceGate].shut(c.cfg.Now())
		c.mu.Unlock()
		if held != nil {
			return Login{}, held
		}
		if now := c.cfg.Now(); p != nil && p.alive() && p.login.Expires.Sub(now) >= now.Sub(p.begun) {
			return p.login, nil
		}
		m, err := c.idp.endpoints(ctx)
		if err != nil {
			return Login{}, err
		}
		l, e := c.authorizeDevice(ctx, m)
		if e != nil {
			if e.Class == ClassRateLimited {
				c.shut(deviceGate, e)
			}
			return Login{}, e
		}
		c.follow(m, l)
		return l, nil
	})
}

// authorizeDevice asks for a device code (RFC 8628 section 3.1).
func (c *Client) authorizeDevice(ctx context.Context, m *metadata) (Login, *Error) {
	const op = "login"
	form := url.Values{}
	setParams(form, c.cfg.Audience, c.cfg.Scopes)
	r, body, _, err := c.send(ctx, op, m.Device, form, tries{})
	if r == nil {
		return Login{}, asError(op, err)
	}
	v, perr := members(trimBody(body), deviceNames...)
	if r.StatusCode/100 != 2 || err != nil || errorCode(v) != "" {
		if _, _, e := c.judge(op, r, body, err, form); e != nil {
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

// deviceAnswer reads RFC 8628 section 3.2, or says what is wrong. A person
// follows the URLs, so that they must be the tenant's kind of URL.
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
		return l, "device_code is no token"
	case user == "" || user != clean(user, 64):
		return l, "user_code is no code"
	case c.cfg.plain(at) != "":
		return l, fmt.Sprintf("verification_uri %q %s", clean(at, 256), c.cfg.plain(at))
	case complete != "" && c.cfg.plain(complete) != "":
		return l, fmt.Sprintf("verification_uri_complete %s", c.cfg.plain(complete))
	case !ok || life == 0:
		return l, "expires_in says no lifetime"
	}
	return Login{
		Client: c.cfg.Name, URL: cmp.Or(complete, at), DeviceCode: Secret(code), UserCode: user, VerificationURI: at,
		Interval: int(max(1, min(cmp.Or(interval, deviceInterval), deviceSlowest)/time.Second)),
		Audience: c.cfg.Audience, Scopes: c.cfg.Scopes, Expires: c.cfg.Now().Round(0).Add(min(life, deviceLongest)),
	}, ""
}

// follow begins to poll for a login, in place of another.
func (c *Client) follow(m *metadata, l Login) *poll {
	p := &poll{login: l, begun: c.cfg.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	c.mu.Lock()
	if c.polling != nil {
		c.polling.end()
	}
	c.polling = p
	c.mu.Unlock()
	c.tasks.start(func() {
		p.err = c.pollUntilDecided(p, m)
		if p.err != nil {
			p.failure = c.failureOf(p.err)
			c.cfg.Log.Warn("a device login has ended", "class", p.err.Class, "code", p.err.Code)
		}
		close(p.done)
		c.wake()
		c.announce()
	})
	c.announce()
	return p
}

// finishDevice waits for a device login that was begun, here or elsewhere.
func (c *Client) finishDevice(ctx context.Context, l Login) (*Grant, error) {
	c.mu.Lock()
	p := c.polling
	c.mu.Unlock()
	if p == nil || p.login.DeviceCode != l.DeviceCode {
		if l.DeviceCode == "" || l.Client != c.cfg.Name || !c.cfg.Now().Before(l.Expires) {
			return nil, &Error{Op: "finish", Class: ClassRequest, Err: ErrState, Description: "this is no device login that is pending", Hint: "begin a new login"}
		}
		m, err := c.idp.endpoints(ctx)
		if err != nil {
			return nil, err
		}
		p = c.follow(m, l)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, &Error{Op: "finish", Class: ClassTimeout, Description: "nobody has decided yet", Hint: "the login goes on", Err: ctx.Err()}
	}
	if p.err != nil {
		return nil, p.err
	}
	return c.grant(), nil
}

// pollUntilDecided polls (RFC 8628 sections 3.4 and 3.5): not faster than the
// tenant allows, slower while it cannot be reached, until somebody decides, the
// code expires or the client ends.
func (c *Client) pollUntilDecided(p *poll, m *metadata) *Error {
	l := p.login
	interval := time.Duration(max(1, l.Interval)) * time.Second
	wait := interval
	for {
		left := l.Expires.Sub(c.cfg.Now())
		if !p.pause(min(wait, left)) {
			return &Error{Op: "login", Class: ClassTimeout, Description: "the device login was given up", Hint: "begin a new login"}
		}
		if wait >= left {
			return &Error{Op: "login", Class: ClassLoginRequired, Code: "expired_token", Description: "nobody has confirmed the code in time", Hint: "begin a new login"}
		}
		sent := c.cfg.Now().Round(0)
		a, o, e := c.post(context.Background(), "login", m.Token, url.Values{"grant_type": {grantDevice}, "device_code": {l.DeviceCode.Reveal()}}, tries{})
		switch {
		case o == succeeded:
			c.skew(a.date, sent)
			return c.keepDevice(p, a, sent)
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
			return c.undecided(e)
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

// undecided is how a device login ends that brings nothing.
func (c *Client) undecided(e *Error) *Error {
	switch {
	case e.Code == "expired_token", e.Code == "invalid_grant":
		e.Class, e.Hint = ClassLoginRequired, "begin a new login"
	case e.Hint == "":
		e.Hint = "begin a new login"
	}
	return e
}

// keepDevice makes the grant of a device login durable, in a turn of its own. A
// person has logged in for it: a long queue, a lease that is busy, or a store that
// fails does not lose it.
func (c *Client) keepDevice(p *poll, a answer, sent time.Time) *Error {
	ctx, cancel := context.WithTimeout(context.Background(), flightTime)
	defer cancel()
	g, e := c.grantOf(ctx, p.login, a, sent)
	if e != nil {
		return e
	}
	for range deviceTurns {
		had := false
		f := c.launch("device "+fingerprint(p.login.DeviceCode), func(ctx context.Context, f *flight) {
			had = true
			f.err = c.storeDevice(ctx, f, p, g)
		})
		if <-f.done; had {
			return f.err
		}
		e = f.err
	}
	c.spill(ctx, g) // where the store finds it; this client's state is another flight's
	return e
}

// deviceTurns is how often a device login queues for its turn.
const deviceTurns = 5

// spillDevice keeps a grant that storeDevice could not store, unless another
// process has a later one or somebody has logged out. cause is why, and replaces
// is as supersedes has it.
func (c *Client) spillDevice(ctx context.Context, p *poll, g *Grant, replaces *time.Time, cause *Error) *Error {
	if errors.Is(cause, ErrConflict) || cause.Class == ClassLoginRequired { // logged out: it is revoked
		return cause
	}
	if c.forgotten(p) { // since storeDevice looked
		_ = c.revoke(ctx, g.RefreshToken)
		return cause
	}
	keepRefreshToken(g, c.grant())
	c.setUnsaved(g, replaces) // and Run stores it when it can
	if !c.spill(ctx, g) {
		return cause
	}
	c.setSnapshot(g)
	c.loggedIn()
	return nil
}

// forgotten reports whether Forget was called since the device login was begun.
func (c *Client) forgotten(p *poll) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.void
}

var errVoid = errors.New("the client was logged out meanwhile")

// storeDevice takes the lease for a grant and makes it durable, in the store or
// else in its spill, unless Forget came before.
func (c *Client) storeDevice(ctx context.Context, f *flight, p *poll, g *Grant) *Error {
	if c.forgotten(p) {
		_ = c.revoke(ctx, g.RefreshToken) // as good as never had
		return &Error{Op: "login", Class: ClassLoginRequired, Err: errVoid, Hint: "begin a new login"}
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
	g.Revision = revision
	if e := c.storeLogin(ctx, f, h, g, prior); e != nil {
		return c.spillDevice(ctx, p, g, h.replaces, e)
	}
	c.loggedIn()
	return nil
}
