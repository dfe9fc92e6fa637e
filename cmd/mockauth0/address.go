package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"example.com/tokend/pkg/mock"
)

// followRequest is the MOCKAUTH0_ISSUER that takes the issuer from each request.
const followRequest = "request"

// base is the URL under which a listener announces its tenants; "" is that of each
// request.
type base string

// plainBase returns the base of MOCKAUTH0_LISTEN. An https issuer is the TLS
// listener's, if there is one and browsers do not use the plain one.
func (s settings) plainBase(addr net.Addr) base {
	switch {
	case s.Issuer == followRequest:
		return ""
	case s.Issuer == "", isHTTPS(s.Issuer) && s.TLSListen != "" && (s.BrowserURL == "" || isHTTPS(s.BrowserURL)):
		return base(issuerOf("http", s.Listen, addr))
	}
	return base(s.Issuer)
}

// tlsBase returns the base of MOCKAUTH0_TLS_LISTEN.
func (s settings) tlsBase(addr net.Addr) base {
	switch {
	case s.Issuer == followRequest:
		return ""
	case isHTTPS(s.Issuer), isHTTPS(s.BrowserURL):
		return base(s.Issuer)
	}
	return base(issuerOf("https", s.TLSListen, addr))
}

func isHTTPS(raw string) bool { return strings.HasPrefix(raw, "https://") }

// issuerOf returns the issuer for clients on this machine.
func issuerOf(scheme, configured string, addr net.Addr) string {
	host, _, _ := net.SplitHostPort(configured)
	if host == "" || host == "127.0.0.1" || host == "0.0.0.0" || host == "::1" || host == "::" {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}

// consoleURL returns where the pages of a tenant link to the console: "" is the tenant's
// own address. Which host name reaches a listener on all addresses is not known here.
func (s settings) consoleURL(control []net.Listener, name string) string {
	if len(control) == 0 {
		return ""
	}
	host, _, _ := net.SplitHostPort(s.ControlListen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return mock.NoConsole
	}
	return base(issuerOf("http", s.ControlListen, control[0].Addr())).of(name) + "_mock/"
}

// of returns the issuer of a tenant: the base itself for the only tenant, below the
// base for a name, and at a host of its own for a name with a dot.
func (b base) of(name string) string {
	if name == "" || b == "" {
		return string(b)
	}
	if !isHost(name) {
		return string(b) + name + "/"
	}
	u, err := url.Parse(string(b))
	if err != nil { // the settings were checked
		return string(b)
	}
	host := name
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(name, port)
	}
	return u.Scheme + "://" + host + "/"
}

// path returns the path of the base, with a slash at both ends.
func (b base) path() string {
	u, err := url.Parse(string(b))
	if err != nil || u.Path == "" { // the settings were checked
		return "/"
	}
	return u.Path
}

// isHost reports whether a tenant's name is the name of its host.
func isHost(name string) bool { return strings.Contains(name, ".") }

// tenantAt serves a tenant under a base.
func (p *program) tenantAt(b base, name string, t *mock.Tenant) http.Handler {
	if b != "" {
		return t.At(b.of(name))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.public && !loopback(r.Host) {
			http.Error(w, "the Host of the request is not a loopback name; with MOCKAUTH0_ISSUER=request others need --public", http.StatusForbidden)
			return
		}
		t.At(requestBase(r).of(name)).ServeHTTP(w, r)
	})
}

// requestBase returns the base of a listener that takes it from each request.
func requestBase(r *http.Request) base {
	if r.TLS != nil {
		return base("https://" + r.Host + "/")
	}
	return base("http://" + r.Host + "/")
}

// loopback reports whether the host of a request names this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") // RFC 6761 section 6.3
}
