package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"example.com/tokend/pkg/flow"
)

// rewriteReferences makes the references of an answer lead back to the proxy. It
// removes those that no caller may follow, and returns their names.
func (to *target) rewriteReferences(h http.Header) (removed []string) {
	for _, name := range []string{"Location", "Content-Location"} {
		refs := h[name]
		if len(refs) == 0 {
			continue
		}
		if here := to.reference(refs[0]); here != "" && len(refs) == 1 { // some software joins two to a third
			h.Set(name, here)
			continue
		}
		h.Del(name)
		removed = append(removed, name)
	}
	return removed
}

// reference keeps a reference into the upstream on the proxy. One to another
// machine stays, and is made absolute so that it still leads there; for a caller
// over a socket it is "", because software dials the socket for every host. One to
// this machine is "": software would follow it with the API key, to tokend or to
// another program's port. So is one that software may read in another way.
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

// onThisMachine reports whether a host is this machine, or some software may take
// it for that: RFC 6761 section 6.3, and the short, octal and hexadecimal
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
	return strings.ContainsFunc(host, func(c rune) bool { return c > 0x7e }) // may be spelt so that it becomes another one
}
