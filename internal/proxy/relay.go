package proxy

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// RelayConfig makes the proxy route of one client a base URL of its own, for
// software that can add neither a path nor a header.
type RelayConfig struct {
	Client   string            // its name at the service
	Upstream string            // one of the client's upstreams, or a path below one; the service checks that
	Service  *url.URL          // the service, without a path
	Base     http.RoundTripper // how the service is reached
	Key      flow.Secret       // for the service; none over its unix socket
	Keys     []guard.Key       // of callers over TCP; without any, only callers of a unix socket are admitted
	Log      *slog.Logger      // nil: silent
}

// Relay forwards requests to a service; see [RelayConfig].
type Relay struct {
	cfg    RelayConfig
	prefix string
	guard  *guard.Guard
	proxy  *Proxy
}

// Format implements [fmt.Formatter] and masks the API key for every verb.
func (r *Relay) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "relay to "+r.cfg.Upstream) }

// NewRelay checks c and returns its relay. It does no I/O.
func NewRelay(c RelayConfig) (*Relay, error) {
	g, err := guard.New(guard.Config{Keys: c.Keys})
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return &Relay{
		cfg: c, prefix: guard.ProxyPath(url.PathEscape(c.Client)), guard: g,
		proxy: New(Config{Base: c.Base, Log: c.Log}),
	}, nil
}

// Run serves until ctx ends or a listener fails, as [Proxy.Serve] does.
func (r *Relay) Run(ctx context.Context, listeners ...net.Listener) error {
	return r.proxy.Serve(ctx, r, listeners...)
}

// ServeHTTP implements [http.Handler].
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := &recorder{ResponseWriter: w}
	began := time.Now()
	defer func() { // without the path, which may contain secrets
		r.proxy.log.DebugContext(req.Context(), "request", "method", req.Method, "status", rec.status, "took", time.Since(began))
	}()
	defer r.recover(rec, req)
	basicIsBearer(req.Header)
	known := slices.Contains(Methods(), req.Method)
	need := guard.NeedsKey
	if known {
		need = guard.Proxied
	}
	caller, refusal := r.guard.Admit(req, need, "")
	switch {
	case refusal != nil:
		refusal.Log(r.proxy.log, req, caller)
		hint := refusal.Hint
		if refusal.Status == http.StatusUnauthorized { // which may be valid at the service
			hint = "send the API key that tokend proxy was started with; it accepts no other"
		}
		writeError(rec, &answer{
			Status: refusal.Status, Code: refusal.Code, Description: refusal.Description, Hint: hint, challenge: refusal.Challenge, RetryAfter: refusal.RetryAfter,
		})
	case !known:
		rec.Header().Set("Allow", strings.Join(Methods(), ", "))
		writeError(rec, &answer{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Description: "the proxy does not forward " + req.Method,
		})
	default:
		r.forward(rec, req)
	}
}

// basicIsBearer reads the key from a Basic password (RFC 7617), too: some software
// cannot send it in another way.
func basicIsBearer(h http.Header) {
	if scheme, value, _ := strings.Cut(h.Get("Authorization"), " "); len(h["Authorization"]) == 1 && strings.EqualFold(scheme, "Basic") {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if _, key, ok := strings.Cut(string(b), ":"); err == nil && ok {
			h.Set("Authorization", "Bearer "+key)
		}
	}
}

// forward sends a request on to the service.
func (r *Relay) forward(w http.ResponseWriter, req *http.Request) {
	none := func(string) bool { return false } // the service has removed them already
	r.proxy.forward(w, req, forwarding{via: r.cfg.Base, rewrite: r.rewrite, answer: r.removePrefix, drop: none, failed: func(err error) {
		reason, hint := explain(err)
		a := &answer{
			Status: http.StatusServiceUnavailable, Code: "tokend_unreachable", Description: reason,
			Hint: "start the service: tokend serve", Client: r.cfg.Client, RetryAfter: 1,
		}
		var e *flow.Error
		switch {
		case errors.As(err, &e): // of the request's body
			a = &answer{Status: http.StatusBadRequest, Code: string(e.Class), Description: e.Description, Hint: e.Hint}
		case errors.Is(err, context.Canceled):
			a = &answer{Status: http.StatusBadGateway, Code: "upstream_unreachable", Description: reason, Hint: hint, Client: r.cfg.Client}
		}
		writeError(w, a)
	}})
}

// rewrite turns a caller's request into one for the client's route of the service.
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
	for _, name := range []string{"Authorization", "Referer"} { // of the relay's own caller; the guard has checked both
		p.Out.Header.Del(name)
	}
	if r.cfg.Key != "" {
		p.Out.Header.Set("Authorization", "Bearer "+r.cfg.Key.Reveal())
	}
}

// unescapedPath returns the decoded form of a path that was parsed already.
func unescapedPath(escaped string) string {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return path
}

// removePrefix removes the prefix that the service has added to references.
func (r *Relay) removePrefix(resp *http.Response) {
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
}
