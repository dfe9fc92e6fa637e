// Package daemon is tokend's HTTP API: it serves the tokens of its clients' grants
// to programs on this machine.
//
// [New] makes one from flow clients and API keys; [Daemon.Run] serves it.
package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"example.com/tokend/internal/audit"
	"example.com/tokend/internal/dashboard"
	"example.com/tokend/internal/events"
	"example.com/tokend/internal/guard"
	"example.com/tokend/internal/keeper"
	"example.com/tokend/internal/metrics"
	"example.com/tokend/internal/proxy"
	"example.com/tokend/internal/requestid"
	"example.com/tokend/internal/trace"
	"example.com/tokend/pkg/flow"
)

// Config is what a daemon serves. Clients and Keys may be empty; the zero value
// of everything else is safe.
type Config struct {
	Clients []Client
	Keys    []Key                           // of callers over TCP; without one only the unix socket answers
	Rate    float64                         // requests per second of a caller without a rate of its own; 0: any number
	Logins  flow.LoginKeeper                // keeps pending logins; nil: in memory, until a restart
	Ready   func(ctx context.Context) error // whether the store answers, for /readyz; nil: always
	Version string                          // of the program, in the answer of /healthz; "": omitted
	Base    http.RoundTripper               // how upstreams are reached; nil: as http_proxy and no_proxy say
	Drain   time.Duration                   // how long requests in flight have when Run ends; 0: 10 s
	Now     func() time.Time                // nil: time.Now
	Log     *slog.Logger                    // nil: silent
	Events  *events.Hub                     // of the clients, for /v1/events; nil: none
	Metrics *metrics.Metrics                // of the service, for /metrics; nil: its own
	IDs     *requestid.Source               // of requests without one; nil: not distinguished from other processes'
	Audit   *audit.Log                      // of the requests that issue or change something; nil: none
	Trace   *trace.Tracer                   // of requests; nil: none

	Store      string                    // its URL without a password, for the dashboard
	SessionKey []byte                    // of the dashboard's sessions; nil: they end with the process
	Settings   func() ([]Setting, error) // as they are now, secrets masked, for the dashboard; nil: not shown

	// Watch reports the keys of grants that other processes change; see
	// [keeper.Config].
	Watch func(ctx context.Context, changed func(key string)) error
	// WatchError returns why Watch does not hear of changes at the moment, for
	// /readyz; nil: there is nothing to hear.
	WatchError func() error

	// Processes are those that have the store open, for the dashboard; nil: unknown.
	Processes func(context.Context) ([]flow.Process, error)
}

// Client is a client whose grant the daemon keeps, and its settings in the API.
type Client struct {
	*flow.Client
	Audience string   // of its tokens when a request names none; as in flow.Config
	Hosts    []string // that credential helpers may give its tokens to
	Login    string   // how it logs in: "headless", "browser", "paste", "device"; "" when no person is needed

	ClientID, RedirectURL string // as in flow.Config; a pending login outlives a Replace that changes neither

	Env            []string            // variables that "tokend exec" sets to its token; nil: its default
	ActionsIDToken bool                // also answer ID token requests in the form of GitHub Actions
	Files          func() []FileStatus // that hold its token; nil: none
	Upstreams      []*url.URL          // APIs that the proxy may send its token to, from flow.ParseUpstream
}

// FileStatus is the state of a token file.
type FileStatus struct {
	Path    string    `json:"path"`
	Written time.Time `json:"written,omitzero"` // when its content last changed
	Expiry  time.Time `json:"expiry,omitzero"`  // of the token in it
	Failure string    `json:"failure,omitempty"`
	Hint    string    `json:"hint,omitempty"`
}

// interactive reports whether a person can log the client in through /authorize.
func (c Client) interactive() bool { return c.Login != "" && !c.device() }

// TokenRule is which tokens of an issuer are a caller's; see [guard.TokenRule].
type TokenRule struct {
	Audience, Subject string
	Issuer            *flow.Verifier
}

// Key is a caller and what it may do: the holder of an API key, or as UIDs, GIDs,
// Certificates and Tokens say; see [guard.Key].
type Key struct {
	Name   string            // for logs
	Secret flow.Secret       // "": only its hash is known
	Hash   [sha256.Size]byte // of a key without Secret

	UIDs, GIDs   []int
	Certificates []string
	Tokens       []TokenRule

	Clients   []string  // names; nil: all clients
	Audiences []string  // that its tokens may be for; nil: all
	ReadOnly  bool      // it may not log in or out, refresh and resume
	Expires   time.Time // zero: never
	Rate      float64   // requests per second; 0: that of Config
}

// Daemon is tokend's HTTP API over a set of clients, which [Daemon.Replace]
// changes; see docs/architecture.md.
type Daemon struct {
	active  atomic.Pointer[api]
	running lives
	logins  *logins
	hub     *events.Hub
	metrics *metrics.Metrics
	ids     *requestid.Source
	audit   *audit.Log
	trace   *trace.Tracer
	rate    float64
	limits  guard.Limits
	ready   func(ctx context.Context) error
	now     func() time.Time
	log     *slog.Logger
	version string
	page    page
	pages   *dashboard.Pages
	buffers buffers
	proxy   *proxy.Proxy
	handler http.Handler

	watchError func() error // nil: nothing is watched

	// Of the dashboard.
	started     time.Time
	store       string
	storeState  recent[struct{}]
	processes   func(context.Context) ([]flow.Process, error)
	replicas    recent[[]flow.Process]
	settings    func() ([]Setting, error)
	sessions    *guard.Sessions
	browserAddr atomic.Pointer[string] // of the TCP listener; nil: none

	stopping context.Context // ends when Run begins to end
	stop     context.CancelFunc
}

// New checks c and returns its daemon. It does no I/O.
func New(c Config) (*Daemon, error) {
	d := &Daemon{audit: c.Audit, trace: c.Trace, rate: c.Rate, ready: c.Ready, watchError: c.WatchError, processes: c.Processes, version: c.Version, now: c.Now, log: c.Log, store: c.Store, settings: c.Settings}
	if d.ready == nil {
		d.ready = func(context.Context) error { return nil }
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.log = requestid.Log(d.log)
	if d.ids = c.IDs; d.ids == nil {
		d.ids = requestid.New("tokend")
	}
	if d.hub = c.Events; d.hub == nil {
		d.hub = events.New("", d.log)
	}
	if d.metrics = c.Metrics; d.metrics == nil {
		d.metrics = metrics.New(c.Version, func() bool { return true })
	}
	d.stopping, d.stop = context.WithCancel(context.Background())
	d.logins = newLogins(c.Logins, d.now)
	d.running.keeper = keeper.New(keeper.Config{Watch: c.Watch, Now: d.now, Log: d.log})
	d.proxy = proxy.New(proxy.Config{Base: d.upstreamsBy(c.Base), Now: d.now, Log: d.log, Drain: c.Drain, Peers: func(p guard.Peer) bool { return d.active.Load().guard.Knows(p) }})
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.active.Load().engine.ServeHTTP(w, r) })
	d.started, d.sessions = d.now(), guard.NewSessions(c.SessionKey, nil, d.now)
	var pageErr, pagesErr error
	d.page, pageErr = newPage()
	d.pages, pagesErr = dashboard.New()
	a, err := d.newAPI(c.Clients, c.Keys)
	if err := errors.Join(err, pageErr, pagesErr); err != nil {
		return nil, err
	}
	d.active.Store(a)
	return d, nil
}

// Run keeps the clients' grants and serves the API on the listeners, which it
// closes, until ctx ends or a listener fails. Callers over TCP need an API key or a
// client certificate; callers of a unix socket must run as this process's user, or as
// a user of the configuration. It returns when every
// request is answered (or after the time for that) and every refresh in flight is stored.
func (d *Daemon) Run(ctx context.Context, listeners ...net.Listener) error {
	// The clients outlive ctx: a request in flight may begin a refresh, and the
	// keeper waits for it.
	d.noteListeners(listeners)
	d.running.begin(context.WithoutCancel(ctx), &d.active)
	defer d.running.end()
	defer context.AfterFunc(ctx, d.stop)()
	defer d.stop()
	return d.proxy.Serve(ctx, d.handler, listeners...)
}
