package mock

import (
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
	"time"

	"golang.org/x/oauth2"

	"example.com/tokend/pkg/mock/tenant"
)

// LoginMode says what /authorize does with a browser that has no session.
type LoginMode string

// The login modes.
const (
	LoginAuto LoginMode = "auto" // signs the first user (or the login_hint's) in and consents, without a page
	LoginForm LoginMode = "form" // shows the login and consent pages, as the real tenant does
)

// Profile says whose answers are given where Auth0 and OpenID Connect disagree.
type Profile string

// The profiles.
const (
	ProfileAuth0      Profile = "auth0"       // as a real tenant
	ProfileStrictOIDC Profile = "strict-oidc" // as OpenID certification demands (400 for invalid_grant, …)
)

// TokenBody selects the members of a successful token answer.
type TokenBody string

// The forms of a token answer.
const (
	TokenBodyRecorded   TokenBody = "recorded"   // with expires_in and scope, as every recorded answer
	TokenBodyDocumented TokenBody = "documented" // access_token, refresh_token, id_token, token_type only, as the documents show
)

// Config describes a tenant. The zero value is a whole one: the default
// tenant of docs/mock.md at the address where it is reached.
type Config struct {
	Issuer         string           // "https://acme.eu.auth0.com/", slash at the end; "": where it is reached
	Tenant         *tenant.File     // clients, APIs, users…; nil: [tenant.Default]. The tenant only reads it: leave it as it is, too
	Login          LoginMode        // "" is LoginAuto
	Profile        Profile          // "" is ProfileAuth0
	TokenBody      TokenBody        // "" is TokenBodyRecorded
	DeviceInterval time.Duration    // device flow polling interval, a second or more; 0 is 5 s
	Keys           []Key            // signing keys, the first one signs; nil: the embedded test key
	CA             *CA              // of TLS listeners; nil: the tenant has none, and Start listens without TLS
	Now            func() time.Time // nil: time.Now; the virtual clock runs on top of it
	Rand           io.Reader        // of codes and tokens; nil: crypto/rand
	Log            *slog.Logger     // nil: discards
}

// TB is what [Start] needs of a test; *testing.T, *testing.B and *testing.F fit.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Tenant is a pretend Auth0 tenant: an [http.Handler] and the controls beside
// it. Its methods may be called from several goroutines. Two tenants share nothing.
type Tenant struct {
	cfg     Config
	issuer  string // "" while it is derived from the request
	clock   *clock
	journal *Journal
	keys    *keyring
	routes  map[string]route
	control map[string]http.HandlerFunc // by method and path, see controlTable
	random  *lockedReader

	mu     sync.Mutex   // guards what follows
	file   *tenant.File // what Reset returns to
	st     *state
	faults []*Armed
}

// New makes a tenant that does not listen; mount it or use [Start].
// The error lists every value of the Config and of the tenant file that is not
// valid; [tenant.FieldErrors] returns them one by one.
func New(c Config) (*Tenant, error) {
	c = c.withDefaults()
	keys, keysErr := newKeyring(c.Keys)
	st, stateErr := newState(c.Tenant, c.Login)
	if err := errors.Join(c.check(), keysErr, stateErr); err != nil {
		return nil, fmt.Errorf("mock: %w", err)
	}
	t := &Tenant{
		cfg: c, issuer: c.Issuer, clock: newClock(c.Now), journal: newJournal(), keys: keys, random: &lockedReader{r: c.Rand},
		file: c.Tenant, st: st,
	}
	t.routes, t.control = t.table(), t.controlMap()
	return t, nil
}

// Start makes a tenant that listens on a free loopback port until the test ends.
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
	tb.Cleanup(func() { _ = srv.Close(); <-done })
	return t
}

// Issuer returns the tenant's issuer, slash at the end; "" when the tenant
// takes it from each request's Host.
func (t *Tenant) Issuer() string { return t.issuer }

// At returns a handler of the same tenant that answers under another issuer,
// as a second listener (TLS, a container's name) needs it.
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
// goes to AuthCodeURL as oauth2.SetAuthURLParam("audience", …). The tenant needs
// an issuer: one by [Start] has it, for [New] it is in the Config.
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
			AuthURL: t.issuer + "authorize", TokenURL: t.issuer + "oauth/token",
			DeviceAuthURL: t.issuer + "oauth/device/code", AuthStyle: oauth2.AuthStyleInParams,
		},
		Scopes: []string{"openid", "profile", "email", "offline_access"},
	}
	if len(c.Callbacks) > 0 {
		cfg.RedirectURL = c.Callbacks[0]
	}
	return cfg
}

// Clients returns the clients in the order in which they were added, with what
// their description left out: id, secret, grant types.
func (t *Tenant) Clients() []tenant.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]tenant.Client, 0, len(t.st.clientOrder))
	for _, id := range t.st.clientOrder {
		out = append(out, *t.st.clients[id])
	}
	return out
}

// Advance moves the tenant's clock forward: codes, tokens, sessions and
// everything else that has a time age by d. It stops at the year 2200.
func (t *Tenant) Advance(d time.Duration) { t.clock.Advance(d) }

// Now returns the tenant's time.
func (t *Tenant) Now() time.Time { return t.clock.Now() }

// RotateKey makes a new signing key the current one; the former stays in the
// JWKS as the previous one, the key before that leaves it.
func (t *Tenant) RotateKey() error { return t.keys.rotate(t.random) }

// Journal returns the record of calls.
func (t *Tenant) Journal() *Journal { return t.journal }

// Reset puts the tenant back to its start: description, clock and an empty
// journal. Keys stay, as clients cache them.
func (t *Tenant) Reset() {
	t.mu.Lock()
	st, err := newState(t.file, t.cfg.Login)
	if err == nil { // the description was accepted before
		t.st, t.faults = st, nil
	}
	t.mu.Unlock()
	if err != nil {
		panic("mock: the description was changed while the tenant used it: " + err.Error())
	}
	t.clock.Reset()
	t.journal.Reset()
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
	demand(c.Issuer == "" || validIssuer(c.Issuer), "issuer", "%q is not an http(s) URL with a host and a slash at the end", c.Issuer)
	demand(c.Login == LoginAuto || c.Login == LoginForm, "login", "%q is neither auto nor form", c.Login)
	demand(c.Profile == ProfileAuth0 || c.Profile == ProfileStrictOIDC, "profile", "%q is neither auth0 nor strict-oidc", c.Profile)
	demand(c.DeviceInterval >= time.Second, "device interval", "%s is shorter than a second", c.DeviceInterval)
	demand(c.TokenBody == TokenBodyRecorded || c.TokenBody == TokenBodyDocumented,
		"token body", "%q is neither recorded nor documented", c.TokenBody)
	return errs.err()
}

func validIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		strings.HasSuffix(s, "/") && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// lockedReader makes any source of randomness safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}
