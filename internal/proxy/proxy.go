// Package proxy sends requests of tokend's callers on to the upstreams of clients,
// with the client's token in place of the caller's API key.
//
// [Client.Forward] is the route of the service, [Relay] a base URL of its own that
// leads to that route. [Proxy.Serve] is the HTTP server of both.
package proxy

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// Config is how a proxy works. The zero value is safe.
type Config struct {
	Base  http.RoundTripper // how upstreams are reached; nil: NewTransport(nil)
	Now   func() time.Time  // nil: time.Now
	Log   *slog.Logger      // nil: silent
	Drain time.Duration     // how long requests in flight have when Serve ends; 0: 10 s

	Peers func(guard.Peer) bool // who may connect to a unix socket; nil: this user
}

// Proxy has what all clients of a service share: connections to upstreams, buffers, and
// open streams.
type Proxy struct {
	base    http.RoundTripper
	now     func() time.Time
	log     *slog.Logger
	drain   time.Duration
	peers   func(guard.Peer) bool
	buffers copyBuffers
	streams streams
}

// New returns a proxy. It does no I/O.
func New(c Config) *Proxy {
	p := &Proxy{base: c.Base, now: c.Now, log: c.Log, drain: cmp.Or(c.Drain, 10*time.Second), peers: c.Peers}
	if p.base == nil {
		p.base = NewTransport(nil)
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// Methods returns the methods that are sent on. The guard refuses OPTIONS, and
// TRACE would send the token back.
func Methods() []string {
	return []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", // RFC 9110, 5789, draft-ietf-httpbis-safe-method-w-body
		"LIST", "PURGE", // of HashiCorp Vault, of caches
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", // WebDAV
	}
}

// Client forwards one client's requests to its upstreams.
type Client struct {
	proxy     *Proxy
	name      string
	upstreams []*url.URL
	transport *flow.Transport
}

// Client returns the proxy of a client. source returns its tokens, and
// [flow.ParseUpstream] has parsed the upstreams.
func (p *Proxy) Client(name string, source flow.Getter, upstreams []*url.URL) *Client {
	return &Client{proxy: p, name: name, upstreams: upstreams, transport: &flow.Transport{
		Source: source, Upstreams: upstreams, Base: p.base, Now: p.now,
	}}
}

// Forward sends a request on to an upstream of the client and its answer back,
// however long they take. When it cannot, it calls fail, which writes the answer:
// the error is a [*flow.Error] or an [*UpstreamError]. A w that has the method
// ForwardsTo gets the URL that the request is for.
func (c *Client) Forward(w http.ResponseWriter, r *http.Request, fail func(error)) {
	to, err := c.target(r)
	if err != nil {
		fail(err)
		return
	}
	if w, ok := w.(interface{ ForwardsTo(*url.URL) }); ok {
		w.ForwardsTo(&to.url)
	}
	c.proxy.forward(w, r, forwarding{
		via: c.transport, rewrite: to.rewrite, drop: dropFromAnswer,
		answer: func(resp *http.Response) {
			resp.Header.Add("Vary", upstreamHeader) // the answer depends on it
			if id := flow.RequestID(r.Context()); id != "" && resp.Header.Get(requestIDHeader) == "" {
				resp.Header.Set(requestIDHeader, id)
			}
			for _, name := range to.rewriteReferences(resp.Header) {
				c.proxy.log.WarnContext(r.Context(), "removed an unsafe redirect from the upstream's answer", "client", c.name,
					"upstream", to.base.Host, "header", name, "reason", "it leads to this machine, or is malformed",
					"hint", "let the upstream redirect to itself or to another machine")
			}
		},
		failed: func(err error) {
			if e := (*flow.Error)(nil); errors.As(err, &e) {
				fail(err)
				return
			}
			reason, hint := explain(err)
			c.proxy.log.WarnContext(r.Context(), "upstream failed", "client", c.name, "upstream", to.base.Host, "reason", reason, "hint", hint)
			fail(&UpstreamError{Host: to.base.Host, Reason: reason, hint: hint})
		},
	})
}

// target is where one request goes.
type target struct {
	base   *url.URL // the upstream, as configured or as narrowed by the header
	url    url.URL
	prefix string // of the proxy's own paths
	local  bool   // the caller came over a unix socket
}

// target reads the upstream and its path from a request.
func (c *Client) target(r *http.Request) (to target, err error) {
	to = target{prefix: guard.ProxyPath(c.name), local: cmp.Or(r.Header.Get(networkHeader), network(r)) == "unix"}
	if to.base, err = c.upstream(r.Header[upstreamHeader]); err != nil {
		return to, err
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), to.prefix)
	if !ok || strings.HasPrefix(rest, "//") {
		return to, badRequest("send the path of the proxy without percent-encoding", "the path does not begin with %s/", to.prefix)
	}
	escaped := to.base.EscapedPath()
	if rest != "" {
		escaped = strings.TrimSuffix(escaped, "/") + rest
	}
	path, err := url.PathUnescape(escaped)
	to.url = *to.base
	to.url.Path, to.url.RawPath = path, escaped
	if err != nil || flow.Within([]*url.URL{to.base}, &to.url) == nil {
		return to, badRequest("send a path without dot segments and backslashes, encoded ones included", "the path could lead out of the upstream")
	}
	to.url.RawQuery, to.url.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	return to, nil
}

// network returns the network of a request, "tcp" or "unix".
func network(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr.Network()
	}
	return ""
}

// upstream returns the upstream that the header's values name, or the first.
func (c *Client) upstream(named []string) (*url.URL, error) {
	if len(c.upstreams) == 0 {
		return nil, forbidden("list the APIs that may get its token in clients."+c.name+".upstreams", "this client has no upstreams")
	}
	if len(named) == 0 {
		return c.upstreams[0], nil
	}
	u, err := flow.ParseUpstream(named[0], true) // the configured upstreams decide whether http is allowed
	if err != nil || len(named) > 1 {
		return nil, badRequest("send one URL such as https://api.example.com/", "the header %s is not a single URL", upstreamHeader)
	}
	if flow.Within(c.upstreams, u) == nil {
		return nil, forbidden("add it to clients."+c.name+".upstreams, or request another one", "%s is not in the client's upstreams", u)
	}
	return u, nil
}

// rewrite turns the caller's request into the upstream's. [httputil.ReverseProxy]
// has removed hop-by-hop headers; the transport puts the token in place of the key.
func (to *target) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL, r.Out.Host = &to.url, to.base.Host
	dropRequestHeaders(r.Out.Header)
	if id := flow.RequestID(r.In.Context()); id != "" { // the caller's own if it is harmless
		r.Out.Header.Set(requestIDHeader, id)
	}
}
