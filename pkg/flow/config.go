package flow

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
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

	// AuthPrivateKeyJWT signs an assertion for each request (RFC 7523); the
	// default with a private key.
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
)

// Config is a client. Issuer and ClientID must be set; the zero value of
// everything else is safe.
type Config struct {
	Name         string      // the grant's key in the store; default: client id at issuer
	Issuer       string      // "https://acme.eu.auth0.com/", compared exactly, slash included
	ClientID     string      // as registered
	ClientSecret Secret      // empty: a public client
	PrivateKey   *PrivateKey // of AuthPrivateKeyJWT
	Auth         AuthMethod  // default: AuthPost with a secret, AuthPrivateKeyJWT with a key, AuthNone without
	Source       Source      // nil: AuthorizationCode{}
	RedirectURL  string      // of the authorization code flow, as registered
	Audience     string      // the API that access tokens are for; Auth0's "audience" parameter
	Scopes       []string    // nil: openid, profile, offline_access where a person logs in, else none

	Provider   *Provider    // shared by the clients of one issuer; nil: one of the client's own
	HTTPClient *http.Client // of the client's own provider; nil: one with deadlines; its redirect policy and jar are not used
	Store      Store        // nil: a memory store

	// Endpoints that are not to be discovered. Nothing is discovered when those
	// are set that the grant needs.
	Endpoint      oauth2.Endpoint // AuthURL, TokenURL and DeviceAuthURL
	JWKSURL       string          // the signing keys; needed only when an ID token comes
	RevocationURL string          // needed only by Forget

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

// The limits of what is read and waited for.
const (
	maxBody       = 256 << 10
	postTimeout   = 15 * time.Second
	fetchTimeout  = 10 * time.Second
	dialTimeout   = 4 * time.Second
	loginLifetime = 10 * time.Minute
	auth0Idle     = 30 * 24 * time.Hour // Auth0's default idle lifetime of a refresh token
)

// New returns the client of c. It does no I/O: a tenant that is down is
// recovered from by itself. All faults of c are reported together, joined, each
// an [*Error] of [ClassConfig].
func New(c Config) (*Client, error) {
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	p := c.Provider
	if p == nil {
		p = NewProvider(ProviderConfig{Issuer: c.Issuer, HTTPClient: c.HTTPClient, Now: c.Now, Log: c.Log})
	}
	cl := &Client{
		cfg:     c,
		http:    p.http,
		turn:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		flights: map[string]*flight{},
		gates:   map[string]*gate{},

		ownTransport: c.HTTPClient == nil && c.Provider == nil,
		spread:       (fraction(c.Rand) - 0.5) / 5,
	}
	cl.idp = &view{Provider: p, cfg: &cl.cfg, tasks: &cl.tasks}
	cl.device.transient = true
	return cl, nil
}

// defaults fills what was left out.
func (c *Config) defaults() {
	if c.Provider != nil {
		c.Issuer = cmp.Or(c.Issuer, c.Provider.issuer)
	}
	c.Name = cmp.Or(c.Name, c.ClientID+" at "+c.Issuer)
	if c.Source == nil {
		c.Source = AuthorizationCode{}
	}
	if c.Auth == "" {
		switch {
		case c.ClientSecret != "":
			c.Auth = AuthPost
		case c.PrivateKey != nil:
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
	if c.Store == nil {
		c.Store = NewMemoryStore()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Rand = &lockedReader{r: c.Rand}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("client", c.Name)
}

// newTransport returns a transport whose steps are bounded one by one; the
// whole request is bounded by its context.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: providerSlots,
		IdleConnTimeout:     30 * time.Second,
	}
}

// check returns every fault of c, joined.
func (c *Config) check() error {
	var faults []error
	fault := func(hint, format string, a ...any) {
		faults = append(faults, configError(hint, format, a...))
	}
	if c.Issuer == "" {
		fault("set issuer to the tenant's issuer, such as https://acme.eu.auth0.com/", "the issuer is missing")
	} else if why := c.plain(c.Issuer); why != "" {
		fault("use https://, or insecure_allow_http for a tenant of your own", "issuer %q %s", c.Issuer, why)
	}
	if c.ClientID == "" {
		fault("set it to the application's Client ID", "the client id is missing")
	}
	if p := c.Provider; p != nil && p.issuer != c.Issuer {
		fault("give the provider of this issuer", "the issuer is %q, and the provider's is %q", c.Issuer, p.issuer)
	}
	if c.Provider != nil && c.HTTPClient != nil {
		fault("give the HTTP client to the provider", "there are both a provider and an HTTP client")
	}
	c.checkAuth(fault)
	c.checkSource(fault)
	for _, e := range []struct{ key, url string }{{"authorization endpoint", c.Endpoint.AuthURL}, {"token endpoint", c.Endpoint.TokenURL}, {"device authorization endpoint", c.Endpoint.DeviceAuthURL}, {"key URL", c.JWKSURL}, {"revocation endpoint", c.RevocationURL}} {
		if e.url == "" {
			continue
		}
		if why := c.plain(e.url); why != "" {
			fault("leave it out to have it discovered", "%s %q %s", e.key, e.url, why)
		}
	}
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"leeway", c.Leeway}, {"advisory", c.Advisory}, {"mandatory", c.Mandatory}, {"lifetime", c.Lifetime}, {"idle", c.Idle}, {"absolute", c.Absolute}} {
		if d.d < 0 {
			fault("leave it out for the default", "%s %v is negative", d.key, d.d)
		}
	}
	return errors.Join(faults...)
}

func (c *Config) checkAuth(fault func(hint, format string, a ...any)) {
	switch c.Auth {
	case AuthPost, AuthBasic:
		if c.ClientSecret == "" {
			fault("set the client secret, or use none for a public client", "client authentication %q needs a client secret", c.Auth)
		}
	case AuthNone, AuthPrivateKeyJWT:
		if c.ClientSecret != "" {
			fault("use post or basic, or leave the secret out", "a client secret is set, yet client authentication is %q", c.Auth)
		}
	default:
		fault("use post, basic, private_key_jwt or none", "client authentication %q is unknown", c.Auth)
	}
	if (c.PrivateKey != nil) != (c.Auth == AuthPrivateKeyJWT) {
		fault("private_key_jwt and a private key go together", "client authentication is %q, and there is a private key: %t", c.Auth, c.PrivateKey != nil)
	}
	switch c.Rotation {
	case RotationUnknown, RotationOn, RotationOff:
	default:
		fault("use on or off, or leave it out", "rotation %q is unknown", c.Rotation)
	}
}

func (c *Config) checkSource(fault func(hint, format string, a ...any)) {
	if c.RedirectURL != "" {
		if u, err := url.Parse(c.RedirectURL); err != nil || u.Scheme == "" || u.Fragment != "" || u.User != nil {
			fault("set it to a callback URL of the application, without a fragment", "redirect_uri %q is not an absolute URL", c.RedirectURL)
		}
	}
	switch s := c.Source.(type) {
	case AuthorizationCode:
		if s.Headless && c.RedirectURL == "" {
			fault("set it to one of the application's allowed callback URLs", "a headless login needs a redirect_uri")
		}
		for k := range s.Params {
			if slices.Contains(ownParams, k) {
				fault("leave it out", "authorization parameter %q is set by the client itself", k)
			}
		}
	case Seed:
		if s.RefreshToken == "" {
			fault("give the refresh token to start from", "the seed has no refresh token")
		}
	case ClientCredentials:
		if c.Auth == AuthNone {
			fault("set the client secret", "client credentials need client authentication")
		}
	case Exchange:
		s.check(fault)
	case Password:
		if s.Username == "" {
			fault("set the user's name or e-mail address", "the username is missing")
		}
		if s.Password == "" {
			fault("set the user's password", "the password is missing")
		}
	}
}

// check refuses an exchange that no tenant could answer.
func (s Exchange) check(fault func(hint, format string, a ...any)) {
	u, err := url.Parse(s.SubjectTokenType)
	switch {
	case s.SubjectTokenType == "":
		fault("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type is missing")
	case err != nil || u.Scheme == "":
		fault("set it to that of the tenant's Custom Token Exchange Profile", "the subject token type %q is not a URI", s.SubjectTokenType)
	}
	if (s.SubjectTokenFile == "") == (s.SubjectToken == nil) {
		fault("set one: a file that holds the token, or a function", "an exchange needs one source of subject tokens")
	}
}

// plain says why a URL of the tenant cannot be used, or "". Plain HTTP is for
// loopback, where nobody listens in.
func (c *Config) plain(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return "is not an absolute URL"
	case u.RawQuery != "" && raw == c.Issuer || u.Fragment != "":
		return "has a query or a fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return "is not an https URL"
	case c.InsecureAllowHTTP || loopback(u.Hostname()):
		return ""
	}
	return "is plain HTTP to another machine"
}

// loopback reports whether host is this machine: localhost, 127.0.0.0/8 or ::1.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && !ip.Is4In6()
}

// unattended reports whether a grant can be had without a person.
func (c *Config) unattended() bool {
	switch s := c.Source.(type) {
	case AuthorizationCode:
		return s.Headless
	case Device:
		return false
	}
	return true
}

// lockedReader lets many goroutines share one source of randomness.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}
