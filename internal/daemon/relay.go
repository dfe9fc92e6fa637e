package daemon

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// RelayConfig is one client's proxy route at a root of its own, as a base URL
// for software that knows of no prefix and no further header.
type RelayConfig struct {
	Client   string            // its name at the service
	Upstream string            // one of the client's upstreams, or beneath one; the service checks that
	Service  *url.URL          // the service, without a path
	Base     http.RoundTripper // how the service is reached
	Key      flow.Secret       // shown to the service; none over its unix socket
	Keys     []Key             // of callers over TCP; without one only a unix socket answers
	Log      *slog.Logger      // nil: silent
}

// Relay passes requests on to a service; see [RelayConfig].
type Relay struct {
	cfg    RelayConfig
	prefix string
	d      *Daemon // its guards, errors and serving
}

// NewRelay checks c and returns its relay. It does no I/O.
func NewRelay(c RelayConfig) (*Relay, error) {
	d, err := New(Config{Keys: c.Keys, Log: c.Log, Base: c.Base})
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: c, d: d, prefix: guard.ProxyPath(url.PathEscape(c.Client))}
	a := d.active.Load()
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.Use(d.accessLog, d.recovery, basicIsBearer)
	for _, method := range proxyMethods {
		e.Handle(method, "/*path", a.guarded(route{access: guard.Proxied, handler: r.relay}))
	}
	e.NoRoute(a.guarded(route{access: guard.NeedsKey, handler: d.notFound}))
	e.NoMethod(a.guarded(route{access: guard.NeedsKey, handler: d.methodNotAllowed}))
	d.handler = e
	return r, nil
}

// Run serves until ctx ends or a listener fails, as [Daemon.Run] does.
func (r *Relay) Run(ctx context.Context, listeners ...net.Listener) error {
	return r.d.serve(ctx, listeners)
}

// basicIsBearer takes the key as a Basic password (RFC 7617), too: some software
// has no other place for it.
func basicIsBearer(c *gin.Context) {
	h := c.Request.Header
	if scheme, value, _ := strings.Cut(h.Get("Authorization"), " "); len(h["Authorization"]) == 1 && strings.EqualFold(scheme, "Basic") {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if _, key, ok := strings.Cut(string(b), ":"); err == nil && ok {
			h.Set("Authorization", "Bearer "+key)
		}
	}
}

func (r *Relay) relay(c *gin.Context) {
	none := func(string) bool { return false } // the service has taken off what it must
	r.d.pass(c, passing{via: r.cfg.Base, rewrite: r.rewrite, answer: r.answer, private: none, failed: func(err error) {
		p := &problem{
			Status: http.StatusServiceUnavailable, Code: codeNoService, RetryAfter: 1, Client: r.cfg.Client,
			Description: why(err), Hint: "start the service: tokend serve",
		}
		if errors.Is(err, context.Canceled) {
			p.Status, p.Code, p.Hint = http.StatusBadGateway, codeUpstreamDown, ""
		}
		r.d.fail(c, p)
	}})
}

func (r *Relay) rewrite(p *httputil.ProxyRequest) {
	path := p.In.URL.EscapedPath()
	if path == "/" {
		path = "" // the upstream's URL itself, which may have no slash at its end
	}
	to := *r.cfg.Service
	to.Path, to.RawPath = r.prefix+unescapedPath(path), r.prefix+path
	to.RawQuery, to.ForceQuery = p.In.URL.RawQuery, p.In.URL.ForceQuery
	p.Out.URL, p.Out.Host = &to, to.Host
	p.Out.Header.Set(upstreamHeader, r.cfg.Upstream)
	p.Out.Header.Set(networkHeader, network(p.In))
	for _, name := range []string{"Authorization", "Referer"} { // the relay's own, as its guards have seen to
		p.Out.Header.Del(name)
	}
	if r.cfg.Key != "" {
		p.Out.Header.Set("Authorization", "Bearer "+r.cfg.Key.Reveal())
	}
}

// unescapedPath is the other form of a path that was parsed already.
func unescapedPath(escaped string) string {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return path
}

// answer takes the service's prefix off where it has put it on.
func (r *Relay) answer(resp *http.Response) error {
	for _, name := range []string{"Location", "Content-Location"} {
		rest, ok := strings.CutPrefix(resp.Header.Get(name), r.prefix)
		switch {
		case !ok:
		case rest == "" || rest[0] == '?' || rest[0] == '#':
			resp.Header.Set(name, "/"+rest)
		case strings.HasPrefix(rest, "//"):
			resp.Header.Set(name, "/."+rest) // else it would name another host (RFC 3986 section 4.2)
		case rest[0] == '/':
			resp.Header.Set(name, rest)
		}
	}
	return nil
}
