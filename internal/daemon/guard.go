package daemon

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// guard stands before a route and its 404 and 405: nothing of the API is
// reached, or told, past a refusal.
func (d *api) guard(need access) gin.HandlerFunc {
	return func(c *gin.Context) {
		if p := d.admit(c.Request, need, c.Param("client")); p != nil {
			d.log.WarnContext(c.Request.Context(), "refused", "error", p.Code, "reason", p.Description,
				"method", c.Request.Method, "remote", c.Request.RemoteAddr)
			d.fail(c, p)
			c.Abort()
		}
	}
}

// admit runs the guards in order and returns the first refusal.
func (d *api) admit(r *http.Request, need access, client string) *problem {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if p := checkHost(r, local); p != nil || need == landing {
		return p
	}
	if p := checkBrowser(r, need == passed && ownReferer(r, client)); p != nil {
		return p
	}
	if p := checkForwarded(r); p != nil || need == open {
		return p
	}
	return d.checkCaller(r, local, client)
}

// checkHost stops DNS rebinding: a page of evil.example whose name was pointed
// at 127.0.0.1 still sends its own name. On the unix socket, which no page can
// reach, the Host is what the caller made up and is not looked at.
func checkHost(r *http.Request, local net.Addr) *problem {
	if !strings.HasPrefix(r.RequestURI, "/") {
		return forbidden("absolute_target", "the request's target is a whole URL: this is no proxy")
	}
	switch a := local.(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if hostIsOurs(r.Host, a.Port) {
			return nil
		}
	}
	return forbidden("host", "the Host header is not localhost, 127.0.0.1 or [::1] with the listener's port")
}

// hostIsOurs wants the exact spelling: 127.1, "localhost." and the like reach
// us only through somebody's trick.
func hostIsOurs(host string, port int) bool {
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

// checkBrowser stops cross-site request forgery and cross-origin reads: a page
// makes the browser send one of these, automation sends none. A page on another
// port of localhost is "same-site", so only a typed address passes.
func checkBrowser(r *http.Request, refererIsOurs bool) *problem {
	switch {
	case r.Method == http.MethodOptions:
		return forbidden("preflight", "no other origin may call this API")
	case r.Header["Origin"] != nil:
		return forbidden("origin", "a request with an Origin header comes from a web page")
	case r.Header["Referer"] != nil && !refererIsOurs:
		return forbidden("referer", "a request with a Referer header comes from a web page")
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return forbidden("sec_fetch_site", "the browser says that another site caused this request")
		}
	}
	return nil
}

// ownReferer reports whether a request comes from an answer that was passed on
// for the same client: a Go program that follows a redirect says so. It does not
// open the other routes, where an upstream could have sent it.
func ownReferer(r *http.Request, client string) bool {
	prefix := "/" // of the relay
	if client != "" {
		prefix = proxyPrefix(client) + "/"
	}
	from := r.Header["Referer"]
	if len(from) != 1 {
		return false
	}
	u, err := url.Parse(from[0])
	return err == nil && u.Scheme == "http" && u.Host == r.Host && u.User == nil && strings.HasPrefix(u.EscapedPath()+"/", prefix)
}

// checkForwarded stops a reverse proxy that was put before tokend, by mistake
// or not: everybody who reaches the proxy would be local.
func checkForwarded(r *http.Request) *problem {
	for name := range r.Header {
		if name == "Via" || name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return forbidden("forwarded", "the request came through a proxy ("+name+")")
		}
	}
	return nil
}

// checkCaller stops other users and programs of the machine: over TCP the key
// says who calls and which clients that opens. The unix socket's peer was
// checked when it connected.
func (d *api) checkCaller(r *http.Request, local net.Addr, client string) *problem {
	if _, ok := local.(*net.UnixAddr); ok {
		return nil
	}
	k, p := d.keys.caller(r.Header)
	if p != nil {
		return p
	}
	if client != "" && !k.opens(client) {
		return &problem{
			Status: http.StatusForbidden, Code: "client_forbidden",
			Description: "this key does not open that client", Client: client,
		}
	}
	return nil
}

// opened says whether the caller, whom the guard has let in, may see a client.
func (d *api) opened(r *http.Request, client string) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return d.checkCaller(r, local, client) == nil
}

func forbidden(guard, text string) *problem {
	return &problem{Status: http.StatusForbidden, Code: "forbidden_" + guard, Description: text}
}
