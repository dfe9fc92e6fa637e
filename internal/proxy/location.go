package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"example.com/tokend/pkg/flow"
)

// rewriteReferences makes the references of an answer lead back to the proxy. It
// removes those that no caller may follow, and returns their headers' names.
func (to *target) rewriteReferences(h http.Header) (removed []string) {
	for _, name := range []string{"Location", "Content-Location"} {
		refs := h[name]
		if len(refs) == 0 {
			continue
		}
		if here := to.reference(refs[0]); here != "" && len(refs) == 1 { // some software joins two headers to another URL
			h.Set(name, here)
			continue
		}
		h.Del(name)
		removed = append(removed, name)
	}
	return removed
}

// reference rewrites a reference to the upstream into one to the proxy. A reference to
// another machine becomes absolute, so that it still leads there. The result is "" if
// the caller must not follow it: over a socket, because software dials the socket for
// every host; to this machine, because software would send the API key to tokend or to
// another program's port; and if software may parse it differently.
func (to *target) reference(ref string) string {
	u, err := to.url.Parse(ref)
	if err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	if flow.Within([]*url.URL{to.base}, u) == nil {
		if to.local || onThisMachine(u.Hostname()) {
			return ""
		}
		return u.String()
	}
	here := url.URL{RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	return to.prefix + strings.TrimPrefix(u.EscapedPath(), strings.TrimSuffix(to.base.EscapedPath(), "/")) + here.String()
}

// onThisMachine reports whether a host is this machine, or whether some software may
// resolve it to this machine: RFC 6761 section 6.3, and the short, octal and hexadecimal
// addresses of https://url.spec.whatwg.org/#concept-ipv4-parser.
func onThisMachine(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsUnspecified() || ip.Zone() != ""
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || last == "localhost" || last == "localdomain" || last[0] >= '0' && last[0] <= '9' {
		return true
	}
	return strings.ContainsFunc(host, func(c rune) bool { return c > 0x7e }) // may be normalized to another host
}
