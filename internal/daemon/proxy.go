package daemon

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
	"example.com/tokend/pkg/flow"
)

// codeUpstreamDown is an upstream that does not answer.
const codeUpstreamDown = "upstream_unreachable"

// proxyMethods are passed on. OPTIONS is refused by the guards, and TRACE would
// send the token back.
var proxyMethods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", // RFC 9110, 5789, draft-ietf-httpbis-safe-method-w-body
	"LIST", "PURGE", // of HashiCorp Vault, of caches
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", // WebDAV
}

// proxy passes a request on to an upstream of the client, with the client's
// token in place of the caller's key.
func (d *api) proxy(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	to, p := cl.target(c.Request)
	if p != nil {
		d.failFor(c, cl, p)
		return
	}
	answer := func(resp *http.Response) error {
		resp.Header.Add("Vary", upstreamHeader) // the same path is another answer
		for _, name := range to.relocate(resp.Header) {
			d.log.WarnContext(c.Request.Context(), "a reference of the upstream was taken off: it leads to this machine, or is malformed",
				"client", cl.Name(), "upstream", to.base.Host, "header", name)
		}
		return nil
	}
	d.pass(c, passing{via: cl.transport, rewrite: to.rewrite, answer: answer, private: ofUpstream, failed: func(err error) {
		if e := (*flow.Error)(nil); errors.As(err, &e) {
			d.failWith(c, cl, err)
			return
		}
		p := &problem{Status: http.StatusBadGateway, Code: codeUpstreamDown, Description: to.base.Host + ": " + why(err)}
		d.log.WarnContext(c.Request.Context(), "upstream failed", "client", cl.Name(), "upstream", to.base.Host, "reason", p.Description)
		d.failFor(c, cl, p)
	}})
}

// target is where one request goes.
type target struct {
	base   *url.URL // the upstream, as configured or as the header narrows it
	url    url.URL
	prefix string // of the proxy's own paths
	local  bool   // the caller came over a unix socket
}

// target reads which upstream a request is for and which path of it.
func (cl *client) target(r *http.Request) (target, *problem) {
	to := target{prefix: guard.ProxyPath(cl.Name()), local: cmp.Or(r.Header.Get(networkHeader), network(r)) == "unix"}
	var p *problem
	if to.base, p = cl.upstream(r.Header[upstreamHeader]); p != nil {
		return to, p
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), to.prefix)
	if !ok || strings.HasPrefix(rest, "//") {
		return to, badRequest("the path is not " + to.prefix + "/… as it stands")
	}
	escaped := to.base.EscapedPath()
	if rest != "" {
		escaped = strings.TrimSuffix(escaped, "/") + rest
	}
	path, err := url.PathUnescape(escaped)
	to.url = *to.base
	to.url.Path, to.url.RawPath = path, escaped
	if err != nil || flow.Within([]*url.URL{to.base}, &to.url) == nil {
		return to, badRequest("the path could lead out of the upstream: dot segments and backslashes are refused, encoded or not")
	}
	to.url.RawQuery, to.url.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	return to, nil
}

// network is what a request has come over, "tcp" or "unix".
func network(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return addr.Network()
	}
	return ""
}

// upstream is the one that the header's values name, or the first.
func (cl *client) upstream(named []string) (*url.URL, *problem) {
	forbidden := &problem{Status: http.StatusForbidden, Code: string(flow.ClassUpstream)}
	if len(cl.Upstreams) == 0 {
		forbidden.Description, forbidden.Hint = "this client has no upstreams", "list the APIs that may get its token under clients."+cl.Name()+".upstreams"
		return nil, forbidden
	}
	if len(named) == 0 {
		return cl.Upstreams[0], nil
	}
	u, err := flow.ParseUpstream(named[0], true) // whether http is good for it the list says
	if err != nil || len(named) > 1 {
		return nil, badRequest("the header " + upstreamHeader + " is not one URL such as https://api.example.com/")
	}
	if flow.Within(cl.Upstreams, u) == nil {
		forbidden.Description, forbidden.Hint = u.String()+" is in none of the client's upstreams", "add it to clients."+cl.Name()+".upstreams, or ask for another one"
		return nil, forbidden
	}
	return u, nil
}

// rewrite makes the caller's request the one that is sent on. Hop-by-hop headers
// are gone by then; the transport puts the token in the place of the key.
func (to *target) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL, r.Out.Host = &to.url, to.base.Host
	dropOwn(r.Out.Header)
}

// why says what became of a connection, without what the upstream has sent:
// that may hold the token.
func why(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was broken off"
	case errors.As(err, &dns):
		return "the name cannot be resolved"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect: " + op.Err.Error()
	case isTLS(err):
		return "no TLS connection: " + strings.ReplaceAll(err.Error(), "hint: ", "hint ") // a certificate gives no advice
	}
	return "the connection broke, or the answer was not HTTP"
}
