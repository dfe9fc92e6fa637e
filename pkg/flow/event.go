package flow

import (
	"context"
	"slices"
	"time"
)

// EventKind says what has changed.
type EventKind string

// Kinds of events. docs/events.md describes them.
const (
	EventRefreshed      EventKind = "refreshed"       // a new access token is stored
	EventDegraded       EventKind = "degraded"        // a refresh failed, and the token is still valid
	EventRefreshFailing EventKind = "refresh_failing" // a refresh failed, and there is no valid token
	EventLoginRequired  EventKind = "login_required"  // a person must log in
	EventResumed        EventKind = "resumed"         // the client works again
	EventGrantEnding    EventKind = "grant_ending"    // a login will be needed soon
)

// Event is a change of a grant that this process has stored. It has no secret. Each
// change has one event, in all processes that share the store: the row says which
// state was reported last, and changes together with it, under the lease.
type Event struct {
	Kind       EventKind   `json:"type"`
	Time       time.Time   `json:"time"`
	Client     string      `json:"client"`
	Issuer     string      `json:"issuer"`
	State      ClientState `json:"state"`
	Generation int64       `json:"generation,omitempty"`
	Expiry     time.Time   `json:"expiry,omitzero"`     // of the default access token
	GrantEnds  time.Time   `json:"grant_ends,omitzero"` // forecast
	Failure    *Failure    `json:"failure,omitempty"`
}

// reported is what the last event of a grant said. It is stored with the grant.
type reported struct {
	State     ClientState `json:"state,omitempty"`
	Exchanged time.Time   `json:"exchanged,omitzero"` // of the last "refreshed"
	Ends      time.Time   `json:"ends,omitzero"`      // of the last "grant_ending"
}

// endingAhead is how long before the end of a grant its event comes, at most: of a
// grant that lives for a short time, at a quarter of its life before the end.
const endingAhead = 7 * 24 * time.Hour

// report updates what g says about its events, and returns those that are due once g
// is stored.
func (c *Client) report(g *Grant) []Event {
	if c.cfg.OnEvent == nil || g.Failure == nil && unserved(g) {
		return nil
	}
	now := c.cfg.Now().Round(0)
	was, state, ends := g.Reported, c.storedState(g, now), c.grantEnds(g)
	e := Event{
		Time: now, Client: c.cfg.Name, Issuer: c.cfg.Issuer, State: state, Generation: g.Generation,
		GrantEnds: ends, Failure: g.Failure,
	}
	if t := defaultToken(g); t != nil {
		e.Expiry = t.Expiry
	}
	var events []Event
	add := func(kind EventKind) {
		e.Kind = kind
		events = append(events, e)
	}
	if g.Failure == nil && g.exists() && !g.Exchanged.Equal(was.Exchanged) {
		add(EventRefreshed)
		g.Reported.Exchanged = g.Exchanged
	}
	if state != was.State {
		if kind := kindOfState(state, was.State); kind != "" {
			add(kind)
		}
		g.Reported.State = state
	}
	if c.ending(g, ends, now) && !ends.Equal(was.Ends) {
		add(EventGrantEnding)
		g.Reported.Ends = ends
	}
	return events
}

// kindOfState returns the event of a new state, "" if it has none.
func kindOfState(state, was ClientState) EventKind {
	switch state {
	case StateDegraded:
		return EventDegraded
	case StateUnavailable, StateClientRejected:
		return EventRefreshFailing
	case StateLoginRequired:
		return EventLoginRequired
	case StateReady:
		if was != "" {
			return EventResumed
		}
	}
	return ""
}

// storedState returns the state of a client by its row alone.
func (c *Client) storedState(g *Grant, now time.Time) ClientState {
	t := defaultToken(g)
	valid := t != nil && t.Remaining(now) > 0
	switch {
	case g.Rejected != nil:
		return StateClientRejected
	case g.State == GrantDead || g.State == GrantLoggedOut:
		return StateLoginRequired
	case g.Failure == nil:
		return StateReady
	case valid:
		return StateDegraded
	}
	return StateUnavailable
}

func defaultToken(g *Grant) *Token {
	for _, t := range g.Tokens {
		if t.Audience == "" && len(t.requested) == 0 && !t.unverified {
			return t
		}
	}
	return nil
}

// unserved reports whether the last answer's token waits for its verification. A caller
// that asks for a token after an event must not get the one before.
func unserved(g *Grant) bool {
	return slices.ContainsFunc(g.Tokens, func(t *Token) bool { return t.unverified && t.Obtained.Equal(g.Exchanged) })
}

// ending reports whether the grant ends soon.
func (c *Client) ending(g *Grant, ends, now time.Time) bool {
	if ends.IsZero() || !g.exists() || g.State == GrantDead {
		return false
	}
	life := c.cfg.Idle
	if c.cfg.Absolute > 0 && ends.Equal(g.LoggedIn.Add(c.cfg.Absolute)) {
		life = c.cfg.Absolute
	}
	return ends.Sub(now) <= min(c.cfg.EndingAhead, life/4)
}

// emit passes on events whose grant is stored.
func (c *Client) emit(events []Event) {
	for _, e := range events {
		c.cfg.OnEvent(e)
	}
}

// reportFailure stores a failure that did not change the grant, if it has an event. The
// lease is held. A failed login does not change a working grant.
func (c *Client) reportFailure(ctx context.Context, l *heldLease, w want, e *Error) {
	if c.cfg.OnEvent == nil || w.newLogin || !w.isDefault() || c.hasUnsaved() || e.Class == ClassLeaseBusy {
		return
	}
	g, _, err := c.read(ctx)
	if err != nil || g == nil || g.Restored || g.State == GrantNone {
		return
	}
	if g.Failure == nil {
		g.Failure = c.failureOf(e)
	}
	events := c.report(g)
	if len(events) == 0 {
		return
	}
	if err := c.save(ctx, l, g); err != nil {
		c.log().DebugContext(ctx, "an event was not stored", "err", err)
		return
	}
	c.setSnapshot(g)
	c.emit(events)
}

// reportUnsent is reportFailure for a failure before the lease was taken.
func (c *Client) reportUnsent(ctx context.Context, f *flight, w want, g *Grant, e *Error) *Error {
	if c.cfg.OnEvent == nil || w.newLogin || !g.exists() {
		return e
	}
	n := g.clone()
	if n.Failure == nil {
		n.Failure = c.failureOf(e)
	}
	if len(c.report(n)) == 0 { // the row says so already
		return e
	}
	if l, busy := c.lock(ctx, f); busy == nil {
		defer l.release()
		c.reportFailure(ctx, l, w, e)
	}
	return e
}
