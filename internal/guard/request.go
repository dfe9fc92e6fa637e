package guard

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// checkHost stops DNS rebinding: a page of evil.example, a name that now resolves
// to 127.0.0.1, still sends its own name as Host. No page can reach a unix socket,
// where callers invent the Host, so it is not checked there.
func checkHost(r *http.Request, local net.Addr) *Refusal {
	if !strings.HasPrefix(r.RequestURI, "/") {
		return forbidden("absolute_target", "the request target is an absolute URL", "send the path only: tokend is not a forward proxy")
	}
	if r.TLS != nil {
		return checkTLSHost(r)
	}
	port := 0
	switch a := local.(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if port = a.Port; hostIsLocal(r.Host, port) {
			return nil
		}
	}
	return forbidden("host", "the Host header is not localhost, 127.0.0.1 or [::1] with the listener's port",
		"call http://127.0.0.1:"+strconv.Itoa(port))
}

// checkTLSHost requires the name for which the caller has verified the certificate,
// which a page of another site cannot have. The port does not matter: a load balancer
// may have another one. A caller that connects to an IP address sends no name.
func checkTLSHost(r *http.Request) *Refusal {
	host := (&url.URL{Host: r.Host}).Hostname()
	if name := r.TLS.ServerName; name != "" && strings.EqualFold(host, name) || name == "" && net.ParseIP(host) != nil {
		return nil
	}
	return forbidden("host", "the Host header is not the name of the TLS connection", "use the same name for both, as clients do by themselves")
}

// hostIsLocal requires the exact spelling: software sends 127.1, "localhost." and
// the like only when an attacker makes it.
func hostIsLocal(host string, port int) bool {
	var digits [20]byte
	for _, name := range [...]string{"localhost", "127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(host, name)
		switch {
		case !ok:
		case rest == "":
			return port == 80
		case rest[0] == ':':
			return rest[1:] == string(strconv.AppendInt(digits[:0], int64(port), 10))
		}
	}
	return false
}

// checkBrowser stops cross-site request forgery and cross-origin reads: a
// browser sends one of these headers for a page, automation sends none. A page on another
// port of localhost is "same-site", so only a typed address passes.
func checkBrowser(r *http.Request, ownReferer bool) *Refusal {
	const hint = "call the API from a program: web pages are refused"
	switch {
	case r.Method == http.MethodOptions:
		return forbidden("preflight", "other origins may not call this API", hint)
	case r.Header["Origin"] != nil:
		return forbidden("origin", "a request with an Origin header comes from a web page", hint)
	case r.Header["Referer"] != nil && !ownReferer:
		return forbidden("referer", "a request with a Referer header comes from a web page", hint)
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return forbidden("sec_fetch_site", "the browser says that another site caused this request", hint)
		}
	}
	return nil
}

// ProxyPath is the path of a client's proxy, "" for the whole of a relay.
func ProxyPath(client string) string {
	if client == "" {
		return ""
	}
	return "/v1/clients/" + client + "/proxy"
}

// ownReferer reports whether a request follows an answer of the same client's
// proxy: a Go program that follows a redirect sends Referer. It does not open the
// other routes, to which an upstream could redirect.
func ownReferer(r *http.Request, client string) bool {
	from := r.Header["Referer"]
	if len(from) != 1 {
		return false
	}
	u, err := url.Parse(from[0])
	return err == nil && u.Scheme == "http" && u.Host == r.Host && u.User == nil &&
		strings.HasPrefix(u.EscapedPath()+"/", ProxyPath(client)+"/")
}

// checkForwarded stops requests of a reverse proxy in front of tokend, which would
// make every user of that proxy a local caller.
func checkForwarded(r *http.Request) *Refusal {
	for name := range r.Header {
		if name == "Via" || name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return forbidden("forwarded", "the request came through a proxy ("+name+")", "call tokend directly, with no proxy in front of it")
		}
	}
	return nil
}
