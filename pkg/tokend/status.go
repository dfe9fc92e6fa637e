package tokend

import "time"

// States of a client. docs/api.md describes them.
const (
	StateStarting       = "starting"
	StateReady          = "ready"
	StateDegraded       = "degraded"
	StateLoginRequired  = "login_required"
	StateClientRejected = "client_rejected"
	StateRestored       = "restored"
	StateUnavailable    = "unavailable"
)

// Status is the status of one client, as GET /v1/clients/{client} answers.
// Unknown times are zero.
type Status struct {
	Client       string    `json:"client"`
	Issuer       string    `json:"issuer"`
	State        string    `json:"state"`
	Subject      string    `json:"subject,omitempty"`
	Scope        string    `json:"scope,omitempty"`
	Expiry       time.Time `json:"expiry,omitzero"`        // of the access token
	Obtained     time.Time `json:"obtained,omitzero"`      // when that token was issued
	LastExchange time.Time `json:"last_exchange,omitzero"` // when the refresh token was last used successfully
	LoggedIn     time.Time `json:"logged_in,omitzero"`
	NextRefresh  time.Time `json:"next_refresh,omitzero"`
	Generation   int64     `json:"generation"`         // counts refresh tokens
	Rotation     string    `json:"rotation,omitempty"` // "on", "off"; "" before the first refresh
	Failure      *Failure  `json:"failure,omitempty"`
	GrantEnds    time.Time `json:"grant_ends,omitzero"` // forecast

	DeviceLogin *DeviceLogin `json:"device_login,omitempty"`

	Login        string   `json:"login,omitempty"` // how the client is configured to log in
	Hosts        []string `json:"hosts,omitempty"` // that credential helpers may hand the token to
	AuthorizeURL string   `json:"authorize_url,omitempty"`
	LoginFailure *Failure `json:"login_failure,omitempty"` // of the last login, until a login or a refresh succeeds
	Env          []string `json:"env,omitempty"`           // variables that tokend exec sets
	Files        []File   `json:"files,omitempty"`         // that hold the token
	Upstreams    []string `json:"upstreams,omitempty"`     // that the proxy may reach
}

// Failure is why the last refresh or login failed.
type Failure struct {
	Time        time.Time `json:"time"`
	Class       string    `json:"class"`          // an error code of the service
	Code        string    `json:"code,omitempty"` // the provider's error code
	Description string    `json:"description,omitempty"`
	Hint        string    `json:"hint,omitempty"`
	Remedy      string    `json:"remedy,omitempty"`
}

// DeviceLogin is a device login that waits for a person, or has failed (RFC
// 8628).
type DeviceLogin struct {
	VerificationURIComplete string    `json:"verification_uri_complete"`
	VerificationURI         string    `json:"verification_uri"`
	UserCode                string    `json:"user_code"`
	Expires                 time.Time `json:"expires"`
	Failure                 *Failure  `json:"failure,omitempty"`
}

// File is a token file that the service writes.
type File struct {
	Path    string    `json:"path"`
	Written time.Time `json:"written,omitzero"`
	Expiry  time.Time `json:"expiry,omitzero"`
	Failure string    `json:"failure,omitempty"`
	Hint    string    `json:"hint,omitempty"`
}
