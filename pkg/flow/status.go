package flow

import (
	"cmp"
	"time"
)

// ClientState is what a client can do now.
type ClientState string

// States of a client.
const (
	StateStarting       ClientState = "starting"        // nothing loaded yet
	StateReady          ClientState = "ready"           // a valid token, and the last refresh succeeded
	StateDegraded       ClientState = "degraded"        // a valid token, but the last refresh failed
	StateLoginRequired  ClientState = "login_required"  // a person must log in
	StateClientRejected ClientState = "client_rejected" // the provider rejects the client: fix the configuration
	StateRestored       ClientState = "restored"        // an older copy of the store was restored, or the grant was exported: log in, or resume
	StateUnavailable    ClientState = "unavailable"     // no valid token: provider or store are down, or a setting is wrong; see the failure
)

// States returns all states of a client.
func States() []ClientState {
	return []ClientState{
		StateStarting, StateReady, StateDegraded, StateLoginRequired, StateClientRejected, StateRestored, StateUnavailable,
	}
}

// Status describes a client, without secrets. Unknown times are zero, and absent
// in JSON; the others are RFC 3339.
type Status struct {
	Client       string      `json:"client"`
	Issuer       string      `json:"issuer"`
	State        ClientState `json:"state"`
	Subject      string      `json:"subject,omitempty"`
	Scope        string      `json:"scope,omitempty"`
	Expiry       time.Time   `json:"expiry,omitzero"`        // of the default access token
	Obtained     time.Time   `json:"obtained,omitzero"`      // of the default access token
	LastExchange time.Time   `json:"last_exchange,omitzero"` // when the refresh token was last used successfully
	LoggedIn     time.Time   `json:"logged_in,omitzero"`
	NextRefresh  time.Time   `json:"next_refresh,omitzero"` // when Run refreshes next
	Generation   int64       `json:"generation"`
	Rotation     Rotation    `json:"rotation,omitempty"`
	Failure      *Failure    `json:"failure,omitempty"`   // the last one; nil after a success
	GrantEnds    time.Time   `json:"grant_ends,omitzero"` // forecast of when a login is needed

	DeviceLogin *DeviceLogin `json:"device_login,omitempty"` // pending or failed
}

// Status returns the state in memory.
func (c *Client) Status() Status {
	s, now := c.mem.Load(), c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{Client: c.cfg.Name, Issuer: c.cfg.Issuer, Failure: c.failure, NextRefresh: c.nextRefresh}
	e := s.find("", nil)
	if e != nil {
		st.Scope, st.Expiry, st.Obtained = e.token.Scope, e.token.Expiry, e.token.Obtained
	}
	if s != nil && s.grant != nil {
		g := s.grant
		if st.Failure == nil {
			st.Failure = g.Failure
		}
		st.Subject, st.LastExchange, st.LoggedIn = g.Subject, g.Exchanged, g.LoggedIn
		st.Generation, st.Rotation = g.Generation, g.Rotation
		st.GrantEnds = c.grantEnds(g)
		if g.State == GrantLoggedOut {
			st.LastExchange = time.Time{}
		}
		if at := c.replayAt(g, now); at.After(now) {
			unknown := c.outcomeUnknown(g, at, now)
			f := *cmp.Or(st.Failure, &Failure{Time: g.Intent.Time, Class: unknown.Class})
			f.Description, f.Hint = unknown.Description, unknown.Hint
			st.Failure = &f
		}
	}
	st.DeviceLogin = c.deviceLogin()
	st.State = c.state(s, e != nil && e.remaining(now) > 0, st.Failure)
	return st
}

// state returns the client's state; c.mu is held.
func (c *Client) state(s *snapshot, valid bool, last *Failure) ClientState {
	var g *Grant
	if s != nil {
		g = s.grant
	}
	switch {
	case g != nil && g.Rejected != nil, !valid && last != nil && last.Class == ClassClientRejected:
		return StateClientRejected
	case g != nil && (g.State == GrantDead || g.State == GrantLoggedOut):
		return StateLoginRequired
	case g != nil && g.RefreshToken != "" && (g.Moved || g.Restored && !c.rotationOff(g)):
		return StateRestored
	case valid && last == nil:
		return StateReady
	case valid:
		return StateDegraded
	case last != nil && (last.Class == ClassLoginRequired || c.onlyLoginHelps(g, last.Class)), s != nil && c.needsLogin(g):
		return StateLoginRequired
	case last != nil:
		return StateUnavailable
	}
	return StateStarting
}

// needsLogin reports whether only a person can help; c.mu is held.
func (c *Client) needsLogin(g *Grant) bool {
	return (!g.exists() || g.RefreshToken == "") && !c.kind.unattended
}

// grantEnds returns the expected end of the refresh token. The absolute lifetime
// counts from the login and is not extended by a refresh; the idle lifetime
// counts from the last exchange.
func (c *Client) grantEnds(g *Grant) time.Time {
	if g.RefreshToken == "" || g.Exchanged.IsZero() {
		return time.Time{}
	}
	ends := g.Exchanged.Add(c.cfg.Idle)
	if abs := g.LoggedIn.Add(c.cfg.Absolute); c.cfg.Absolute > 0 && abs.Before(ends) {
		ends = abs
	}
	return ends
}

// announced is the part of a Status whose change is announced.
type announced struct {
	State            ClientState
	Generation       int64
	Expiry, LoggedIn time.Time
	Failure          *Failure
	DeviceLogin      *DeviceLogin
}

// announce calls OnChange if the state has changed.
func (c *Client) announce() {
	if c.cfg.OnChange == nil {
		return
	}
	c.notify.Lock()
	defer c.notify.Unlock()
	s := c.Status()
	was := &c.notified
	if s.State == was.State && s.Generation == was.Generation && s.Expiry.Equal(was.Expiry) && s.LoggedIn.Equal(was.LoggedIn) &&
		sameFailure(s.Failure, was.Failure) && sameDevice(s.DeviceLogin, was.DeviceLogin) {
		return
	}
	c.notified = announced{s.State, s.Generation, s.Expiry, s.LoggedIn, s.Failure, s.DeviceLogin}
	c.cfg.OnChange(s)
}

// deviceLogin returns the pending or failed device login; c.mu is held.
func (c *Client) deviceLogin() *DeviceLogin {
	p := c.polling
	if p == nil || p.isDone() && p.err == nil {
		return nil
	}
	d := &DeviceLogin{URL: p.login.URL, VerificationURI: p.login.VerificationURI, UserCode: p.login.UserCode, Expires: p.login.Expires}
	if p.isDone() {
		d.Failure = p.failure
	}
	return d
}

func sameDevice(a, b *DeviceLogin) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UserCode == b.UserCode && sameFailure(a.Failure, b.Failure)
}

func sameFailure(a, b *Failure) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Class == b.Class && a.Code == b.Code && a.Description == b.Description
}
