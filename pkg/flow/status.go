package flow

import "time"

// ClientState is what a client can do at the moment.
type ClientState string

// The states of a client.
const (
	StateStarting       ClientState = "starting"        // nothing is known yet
	StateReady          ClientState = "ready"           // a token is there and the last refresh went well
	StateDegraded       ClientState = "degraded"        // a valid token, but the last refresh failed
	StateLoginRequired  ClientState = "login_required"  // a person must log in
	StateClientRejected ClientState = "client_rejected" // the tenant refuses the client: mend the configuration
	StateUnavailable    ClientState = "unavailable"     // no valid token, tenant or store down; recovers by itself
)

// Status is what is known of a client, without secrets. Times are zero when
// they are unknown, and then absent in JSON; the others are RFC 3339.
type Status struct {
	Client       string      `json:"client"`
	Issuer       string      `json:"issuer"`
	State        ClientState `json:"state"`
	Subject      string      `json:"subject,omitempty"`
	Scope        string      `json:"scope,omitempty"`
	Expiry       time.Time   `json:"expiry,omitzero"`        // of the default access token
	Obtained     time.Time   `json:"obtained,omitzero"`      // of the default access token
	LastExchange time.Time   `json:"last_exchange,omitzero"` // when the refresh token was last used with success
	LoggedIn     time.Time   `json:"logged_in,omitzero"`
	NextRefresh  time.Time   `json:"next_refresh,omitzero"` // when Run refreshes next
	Generation   int64       `json:"generation"`
	Rotation     Rotation    `json:"rotation,omitempty"`
	Failure      *Failure    `json:"failure,omitempty"`   // the last one; nil after a success
	GrantEnds    time.Time   `json:"grant_ends,omitzero"` // forecast of when a login is needed again
}
