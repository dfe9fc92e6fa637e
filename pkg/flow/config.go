package flow

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// AuthMethod is how the client authenticates at the token endpoint (RFC 6749
// section 2.3.1). No other method is ever tried.
type AuthMethod string

// The methods of client authentication.
const (
	AuthPost  AuthMethod = "post"  // id and secret in the body; the default of a client with a secret
	AuthBasic AuthMethod = "basic" // HTTP Basic, id and secret form-encoded first
	AuthNone  AuthMethod = "none"  // a public client; the default without a secret

	// AuthPrivateKeyJWT signs an assertion for each request (RFC 7523); the
	// default with a private key.
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
)

// Config configures a client. Issuer and ClientID must be set; the zero value of
// everything else is safe.
type Config struct {
	Name         string      // distinguishes clients of one issuer and client id in the store; default: client id at issuer
	Issuer       string      // "https://acme.eu.auth0.com/", compared exactly, slash included
	ClientID     string      // as registered
	ClientSecret Secret      // empty: a public client
	PrivateKey   *PrivateKey // of AuthPrivateKeyJWT
	TokenParams  url.Values  // additional parameters of the requests of ClientCredentials, Exchange and Password
	PAR          bool        // push authorization requests (RFC 9126) even if the metadata does not require it
	Auth         AuthMethod  // default: AuthPost with a secret, AuthPrivateKeyJWT with a key, AuthNone without
	Source       Source      // nil: AuthorizationCode{}
	RedirectURL  string      // of the authorization code flow, as registered
	Audience     string      // the API that access tokens are for; Auth0's "audience" parameter
	Resources    []string    // the APIs that access tokens are for, by "resource" parameters (RFC 8707)
	Scopes       []string    // nil: openid, profile, offline_access if a person logs in, otherwise none

	// Credentials that are rotated outside of this program, read at each use: the
	// client secret in place of ClientSecret, and in place of PrivateKey a client
	// assertion (RFC 7523) of another issuer, such as a Kubernetes token.
	ClientSecretFrom func(context.Context) (Secret, error)
	AssertionFrom    func(context.Context) (Secret, error)

	Provider   *Provider    // shared by the clients of one issuer; nil: one of the client's own
	HTTPClient *http.Client // of the client's own provider; nil: one with deadlines; its redirect policy and jar are not used
	Store      Store        // nil: a memory store

	// Endpoints that replace the discovered ones. If all that the grant needs are
	// set, there is no discovery.
	Endpoint      oauth2.Endpoint // AuthURL, TokenURL and DeviceAuthURL
	JWKSURL       string          // the signing keys; needed only for ID tokens
	RevocationURL string          // needed only by Forget

	Rotation  Rotation      // of the client's refresh tokens, if known
	Leeway    time.Duration // the provider's rotation overlap; 0: unknown or off
	Advisory  time.Duration // how long before expiry a refresh is tried; 0: 15 min
	Mandatory time.Duration // how long before expiry callers wait for it; 0: 1 min
	Lifetime  time.Duration // of an access token without expires_in; 0: 5 min
	Idle      time.Duration // the refresh token's idle lifetime; 0: Auth0's default of 30 days
	Absolute  time.Duration // the refresh token's absolute lifetime, for the forecast; 0: unknown

	InsecureAllowHTTP bool // allow a http:// issuer that is not loopback

	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand
	Log      *slog.Logger     // nil: silent
	OnChange func(Status)     // called after every change of state, from the client's goroutines; must not block

	OnEvent     func(Event)   // called after every change that this process has stored, as OnChange is; nil: none
	EndingAhead time.Duration // how long before its end a grant has its event, at most; 0: 7 days
	OnRefresh   func(Refresh) // called after every refresh that was tried, as OnChange is; nil: none

	// OnStart is called when an operation begins, and the function that it returns when
	// the operation ends, with the class of its error, "" without one. The operation
	// uses the returned context. For traces; must not block; nil: none.
	OnStart func(context.Context, Operation) (context.Context, func(Class))
}

// Limits of what is read and waited for.
const (
	maxBody       = 256 << 10
	postTimeout   = 15 * time.Second
	fetchTimeout  = 10 * time.Second
	dialTimeout   = 4 * time.Second
	loginLifetime = 10 * time.Minute
	auth0Idle     = 30 * 24 * time.Hour // Auth0's default idle lifetime of a refresh token
)

// Check returns the error of [New], and creates nothing.
func (c Config) Check() error {
	c.fallbacks()
	return c.check()
}

// New returns the client of c. It does no I/O: if the provider is down, the
// client retries later. It reports all config errors together, joined, each an
// [*Error] of [ClassConfig].
func New(c Config) (*Client, error) {
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	p := c.Provider
	if p == nil {
		p = NewProvider(ProviderConfig{Issuer: c.Issuer, HTTPClient: c.HTTPClient, Now: c.Now, Log: c.Log.With("client", c.Name)})
	}
	cl := &Client{
		cfg:  &c,
		key:  GrantKey(c.Issuer, c.ClientID, c.Name),
		kind: kindOf(c.Source),
		http: p.http,
		turn: make(chan struct{}, 1),

		ownTransport: c.HTTPClient == nil && c.Provider == nil,
		jitter:       fraction(c.Rand),
	}
	cl.provider = &view{Provider: p, cfg: cl.cfg, tasks: &cl.tasks}
	cl.device.transient = true
	if c.Leeway > 0 && c.Leeway < ShortLeeway {
		cl.log().Warn("the leeway is short: a lost answer may not be recovered in time", "leeway", c.Leeway, "recommended", ShortLeeway)
	}
	return cl, nil
}

// defaults sets the fields that were left out.
func (c *Config) defaults() {
	c.fallbacks()
	if c.Store == nil {
		c.Store = NewMemoryStore()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader // safe for concurrent use
	} else {
		c.Rand = &lockedReader{r: c.Rand}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// fallbacks sets the settings that were left out.
func (c *Config) fallbacks() {
	if c.Provider != nil {
		c.Issuer = cmp.Or(c.Issuer, c.Provider.issuer)
	}
	c.Name = cmp.Or(c.Name, c.ClientID+" at "+c.Issuer)
	if c.Source == nil {
		c.Source = AuthorizationCode{}
	}
	c.Source = valueOf(c.Source)
	if c.Auth == "" {
		switch {
		case c.ClientSecret != "" || c.ClientSecretFrom != nil:
			c.Auth = AuthPost
		case c.PrivateKey != nil || c.AssertionFrom != nil:
			c.Auth = AuthPrivateKeyJWT
		default:
			c.Auth = AuthNone
		}
	}
	switch c.Source.(type) {
	case AuthorizationCode, Device:
		if c.Scopes == nil {
			c.Scopes = []string{"openid", "profile", "offline_access"}
		}
	}
	c.Advisory = cmp.Or(c.Advisory, 15*time.Minute)
	c.Mandatory = cmp.Or(c.Mandatory, time.Minute)
	c.Lifetime = cmp.Or(c.Lifetime, 5*time.Minute)
	c.Idle = cmp.Or(c.Idle, auth0Idle)
	c.EndingAhead = cmp.Or(c.EndingAhead, endingAhead)
}

// log returns the client's log. It is made for each entry: most clients log nothing.
func (c *Client) log() *slog.Logger { return c.cfg.Log.With("client", c.cfg.Name) }

// newTransport returns a transport with a timeout for each step. The context
// bounds the whole request.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialGuarded(&net.Dialer{Timeout: dialTimeout}),
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: providerSlots,
		IdleConnTimeout:     30 * time.Second,
	}
}

// lockedReader makes a source of randomness safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}
