package mock

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"example.com/tokend/pkg/mock/management"
	"example.com/tokend/pkg/mock/tenant"
)

// LoginMode says how /authorize logs in a browser without a session.
type LoginMode string

// The login modes.
const (
	LoginAuto LoginMode = "auto" // logs in the first user (or the login_hint's) and consents, without a page
	LoginForm LoginMode = "form" // shows the login and consent pages, as a real tenant does
)

// Profile says which responses to give where Auth0 and OpenID Connect differ.
type Profile string

// The profiles.
const (
	ProfileAuth0      Profile = "auth0"       // like a real tenant
	ProfileStrictOIDC Profile = "strict-oidc" // as OpenID certification requires (400 for invalid_grant, …)
)

// TokenBody selects the members of a successful token response.
type TokenBody string

// The forms of a token response.
const (
	TokenBodyRecorded   TokenBody = "recorded"   // with expires_in and scope, like every recorded response
	TokenBodyDocumented TokenBody = "documented" // access_token, refresh_token, id_token and token_type only, as in some of Auth0's documentation
)

// NoConsole is the ConsoleURL of a tenant whose pages do not link to the console.
const NoConsole = "none"

// Config describes a tenant. The zero value is complete: the built-in tenant, with
// an issuer taken from the address of each request.
type Config struct {
	Issuer         string           // "https://acme.eu.auth0.com/", with a trailing slash; "": from the request's address
	BrowserURL     string           // "http://localhost:8400/": where browsers reach the tenant, unless at the Issuer, which it requires
	ConsoleURL     string           // "http://localhost:8401/_mock/": where pages link to the console; "": at the tenant itself
	Tenant         *tenant.File     // clients, APIs, users…; nil: [tenant.Default]. Do not change it while the tenant is in use
	State          *tenant.File     // the objects to start with, as Export made them; nil: Tenant. Reset returns to Tenant
	Login          LoginMode        // "" is LoginAuto
	Profile        Profile          // "" is ProfileAuth0
	TokenBody      TokenBody        // "" is TokenBodyRecorded
	DeviceInterval time.Duration    // polling interval of the device flow, at least a second; 0 is 5 s
	Keys           []Key            // signing keys in the order of the JWKS: current, next, previous; nil: embedded test keys
	Public         bool             // the control API accepts any host name, not only loopback ones
	Lax            bool             // the control API accepts settings with which a real tenant refuses what the mock allows
	Faults         []Fault          // armed at the start and after a reset
	CA             *CA              // issues the certificate of a TLS listener; nil: Start listens without TLS
	Now            func() time.Time // nil: time.Now; Advance adds to it
	Rand           io.Reader        // source of codes and tokens; nil: crypto/rand
	Log            *slog.Logger     // nil: discards
}

// TB is the part of testing.TB that [Start] uses.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Tenant is a mock Auth0 tenant: an [http.Handler] with methods to control it. It is
// safe for concurrent use. Two tenants share nothing.
type Tenant struct {
	cfg     Config
	issuer  string // "" if each request decides
	clock   *clock
	journal *Journal
	keys    *keyring
	routes  map[string]route
	control map[string]http.HandlerFunc // by method and path, see controlTable
	random  *lockedReader

	crossOrigin http.CrossOriginProtection // of the control API
	inspector   func() *tenant.Inspector   // made when the control API first needs it
	management  func() *management.API     // made at the first use
	verified    *verifiedTokens
	deliveries  *deliveries   // of logout tokens
	closed      chan struct{} // ends streams of events
	closeOnce   sync.Once
	changes     chan struct{} // see Changes
	watched     atomic.Bool   // Changes was called

	mu       sync.Mutex   // guards the fields below
	file     *tenant.File // the state after Reset
	st       *state
	faults   []*Armed
	revision int // of st when the last change was signalled
}

// New makes a tenant that does not listen: mount it as a handler, or use [Start].
// The error lists every value of the Config and of the tenant file that is not
// valid; [tenant.FieldErrors] returns them one by one.
func New(c Config) (*Tenant, error) {
	c = c.withDefaults()
	keys, keysErr := newKeyring(c.Keys)
	st, stateErr := newState(c.Tenant, c.Login)
	if stateErr == nil && c.State != nil {
		st, stateErr = newState(c.State, c.Login)
	}
	if err := errors.Join(c.check(), keysErr, stateErr); err != nil {
		return nil, fmt.Errorf("mock: %w", err)
	}
	t := &Tenant{
		cfg: c, issuer: c.Issuer, clock: newClock(c.Now), journal: newJournal(), keys: keys, random: &lockedReader{r: c.Rand},
		deliveries: newDeliveries(), file: c.Tenant, st: st, inspector: sync.OnceValue(tenant.NewInspector), management: sync.OnceValue(newManagement),
		closed: make(chan struct{}), changes: make(chan struct{}, 1),
	}
	t.verified = &verifiedTokens{t: t}
	t.routes, t.control = t.table(), t.controlMap()
	t.armAll(c.Faults)
	return t, nil
}

// Start makes a tenant that listens on a free port of 127.0.0.1 until the test ends.
func Start(tb TB, c Config) *Tenant {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("mock: %v", err)
	}
	scheme := "http://"
	if c.CA != nil {
		scheme = "https://"
		pair, err := c.CA.Certificate("127.0.0.1", "localhost")
		if err != nil {
			tb.Fatalf("mock: %v", err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	if c.Issuer == "" {
		c.Issuer = scheme + l.Addr().String() + "/"
	}
	t, err := New(c)
	if err != nil {
		_ = l.Close()
		tb.Fatalf("%v", err)
	}
	srv := &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	tb.Cleanup(func() { _ = srv.Close(); <-done; t.Close() })
	return t
}

// Issuer returns the tenant's issuer with a trailing slash, or "" if the tenant
// takes it from the Host of each request.
func (t *Tenant) Issuer() string { return t.issuer }

// At returns a handler of the same tenant with another issuer, for a second
// listener: one with TLS, or one that containers reach by another name.
func (t *Tenant) At(issuer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.serve(w, r, issuer) })
}

// ServeHTTP implements [http.Handler].
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	issuer := t.issuer
	if issuer == "" {
		issuer = "http://" + r.Host + "/"
		if r.TLS != nil {
			issuer = "https://" + r.Host + "/"
		}
	}
	t.serve(w, r, issuer)
}

// OAuth2 returns the default client's configuration for golang.org/x/oauth2,
// with the scopes openid, profile, email and offline_access. The API's audience
// goes to AuthCodeURL as oauth2.SetAuthURLParam("audience", …). A tenant made by
// [New] needs an Issuer in its Config for this.
func (t *Tenant) OAuth2() *oauth2.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &tenant.Client{}
	if len(t.st.clientOrder) > 0 {
		c = t.st.clients[t.st.clientOrder[0]]
	}
	cfg := &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret,
		Endpoint: oauth2.Endpoint{
			AuthURL: cmp.Or(t.cfg.BrowserURL, t.issuer) + "authorize", TokenURL: t.issuer + "oauth/token",
			DeviceAuthURL: t.issuer + "oauth/device/code", AuthStyle: oauth2.AuthStyleInParams,
		},
		Scopes: []string{"openid", "profile", "email", "offline_access"},
	}
	if len(c.Callbacks) > 0 {
		cfg.RedirectURL = c.Callbacks[0]
	}
	return cfg
}

// Clients returns the clients in the order in which they were added, with their
// defaults: client_id, secret, grant types.
func (t *Tenant) Clients() []tenant.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]tenant.Client, 0, len(t.st.clientOrder))
	for _, id := range t.st.clientOrder {
		out = append(out, *t.st.clients[id])
	}
	return out
}

// Advance moves the tenant's clock, so that codes, tokens, sessions and everything
// else that expires age by d. The clock stops at the year 2200.
func (t *Tenant) Advance(d time.Duration) { t.clock.Advance(d) }

// Now returns the tenant's time.
func (t *Tenant) Now() time.Time { return t.clock.Now() }

// Journal returns the journal of calls.
func (t *Tenant) Journal() *Journal { return t.journal }

// Reset returns to the tenant's start: its file, the real time and an empty journal.
// Keys stay, because clients cache them.
func (t *Tenant) Reset() {
	t.deliveries.end()
	t.mu.Lock()
	st, err := newState(t.file, t.cfg.Login)
	if err == nil { // the file was valid before
		t.st, t.faults, t.revision = st, nil, 0
	}
	t.mu.Unlock()
	t.changed()
	if err != nil {
		panic("mock: Config.Tenant was changed while the tenant used it: " + err.Error())
	}
	t.armAll(t.cfg.Faults)
	t.clock.Reset()
	t.journal.Reset()
}

// Close ends streams of events and the logout tokens that are being sent, at most five
// seconds each, and waits for these. A tenant that has none needs no Close, and [Start]
// calls it.
func (t *Tenant) Close() {
	t.closeOnce.Do(func() { close(t.closed) })
	t.deliveries.end()
}

func (c Config) withDefaults() Config {
	if c.Tenant == nil {
		c.Tenant = tenant.Default()
	}
	if c.Login == "" {
		c.Login = LoginAuto
	}
	if c.Profile == "" {
		c.Profile = ProfileAuth0
	}
	if c.TokenBody == "" {
		c.TokenBody = TokenBodyRecorded
	}
	if c.DeviceInterval == 0 {
		c.DeviceInterval = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	var errs errorList
	demand := func(good bool, field, format string, args ...any) {
		if !good {
			errs = append(errs, fieldError(field, format, args...))
		}
	}
	demand(c.Issuer == "" || validIssuer(c.Issuer), "issuer", "%q is not an http or https URL with a trailing slash", c.Issuer)
	demand(c.BrowserURL == "" || validIssuer(c.BrowserURL), "browser url", "%q is not an http or https URL with a trailing slash", c.BrowserURL)
	demand(c.BrowserURL == "" || c.Issuer != "", "browser url", "%q has no effect without an issuer", c.BrowserURL)
	demand(c.ConsoleURL == "" || c.ConsoleURL == NoConsole || validIssuer(c.ConsoleURL), "console url", "%q is not an http or https URL with a trailing slash", c.ConsoleURL)
	demand(c.Login == LoginAuto || c.Login == LoginForm, "login", "%q is neither auto nor form", c.Login)
	demand(c.Profile == ProfileAuth0 || c.Profile == ProfileStrictOIDC, "profile", "%q is neither auth0 nor strict-oidc", c.Profile)
	demand(c.DeviceInterval >= time.Second, "device interval", "%s is shorter than a second", c.DeviceInterval)
	demand(c.TokenBody == TokenBodyRecorded || c.TokenBody == TokenBodyDocumented,
		"token body", "%q is neither recorded nor documented", c.TokenBody)
	for _, f := range c.Faults {
		err := f.valid()
		demand(err == nil, "faults", "%v", err)
	}
	return errs.err()
}

func validIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		strings.HasSuffix(s, "/") && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// lockedReader makes a source of randomness safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}
