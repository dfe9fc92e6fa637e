package flow

import (
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// AuthMethod is how the client proves itself at the token endpoint (RFC 6749
// section 2.3.1). It is pinned: no other is ever tried.
type AuthMethod string

// The methods of client authentication.
const (
	AuthPost  AuthMethod = "post"  // id and secret in the body; the default of a client with a secret
	AuthBasic AuthMethod = "basic" // HTTP Basic, id and secret form-encoded first
	AuthNone  AuthMethod = "none"  // a public client; the default without a secret
)

// Config is a client. Issuer and ClientID must be set; the zero value of
// everything else is safe.
type Config struct {
	Name         string     // the grant's key in the store; default: client id at issuer
	Issuer       string     // "https://acme.eu.auth0.com/", compared exactly, slash included
	ClientID     string     // as registered
	ClientSecret Secret     // empty: a public client
	Auth         AuthMethod // default: AuthPost with a secret, AuthNone without
	Source       Source     // nil: AuthorizationCode{}
	RedirectURL  string     // of the authorization code flow, as registered
	Audience     string     // the API that access tokens are for; Auth0's "audience" parameter
	Scopes       []string   // nil: openid, profile, offline_access; none for client credentials

	Endpoint   oauth2.Endpoint // AuthURL and TokenURL when they are not to be discovered
	HTTPClient *http.Client    // nil: one with deadlines; its redirect policy and jar are not used
	Store      Store           // nil: a memory store

	Rotation  Rotation      // of the client's refresh tokens at the tenant, when it is known
	Leeway    time.Duration // the tenant's rotation overlap; 0 unknown or off
	Advisory  time.Duration // how long before expiry a refresh is tried; 0: 15 min
	Mandatory time.Duration // how long before expiry callers wait for it; 0: 1 min
	Lifetime  time.Duration // of an access token when the tenant does not say; 0: 5 min
	Idle      time.Duration // the refresh token's idle lifetime; 0: Auth0's default of 30 days
	Absolute  time.Duration // the refresh token's absolute lifetime, for the forecast; 0: unknown

	InsecureAllowHTTP bool // allow a http:// issuer that is not loopback

	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand
	Log      *slog.Logger     // nil: silent
	OnChange func(Status)     // after every change of state, from the client's goroutines; must not block
}

// New returns the client of c. It does no I/O: a tenant that is down is
// recovered from by itself. All faults of c are reported together, joined, each
// an [*Error] of [ClassConfig].
func New(c Config) (*Client, error) {
	return &Client{cfg: c}, nil
}
