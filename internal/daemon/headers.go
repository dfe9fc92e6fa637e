package daemon

import (
	"io"
	"net/http"
	"strings"
)

// The headers of the proxy. All that begin with ownHeaders are between the
// caller and tokend: none is passed on, in neither direction.
const (
	ownHeaders     = "Tokend-"
	upstreamHeader = "Tokend-Upstream" // which upstream; without it the first one
	errorHeader    = "Tokend-Error"    // marks an answer that is tokend's own
	networkHeader  = "Tokend-Network"  // of a relay: what its own caller came over
)

// dropOwn takes off a request what is between caller and tokend.
func dropOwn(h http.Header) {
	delete(h, "Referer") // one of the proxy's own: the guards let no other in
	lines := h["Cookie"]
	for name := range h {
		if name == "Cookie" || strings.HasPrefix(name, ownHeaders) {
			delete(h, name)
		}
	}
	for _, line := range lines {
		var kept []string
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); !strings.HasPrefix(strings.TrimPrefix(cookie, "__Host-"), "tokend") {
				kept = append(kept, cookie)
			}
		}
		if len(kept) > 0 {
			h.Add("Cookie", strings.Join(kept, "; "))
		}
	}
}

// ofCaller says of a trailer that it is not passed on: what decides who calls,
// or where a request goes, is no trailer (RFC 9110 section 6.5.1), and here it
// could be the caller's key.
func ofCaller(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Host", "Connection", "Upgrade", "Te", "Expect", "Via", "Forwarded", "Referer":
		return true
	}
	return strings.HasPrefix(name, ownHeaders) || strings.HasPrefix(name, "X-Forwarded-")
}

// ofUpstream says of a header of an answer that it is not passed on: it is of
// tokend alone, or for the upstream's own origin, which this is not.
func ofUpstream(name string) bool {
	switch name {
	case "Alt-Svc", "Clear-Site-Data", "Refresh", "Strict-Transport-Security":
		return true
	}
	return strings.HasPrefix(name, ownHeaders) || strings.HasPrefix(name, "Access-Control-") // no page of another origin reads here
}

// noTrailer says of a header of an answer that it has no place at its end.
func noTrailer(name string) bool {
	switch name {
	case "Location", "Content-Location", "Set-Cookie", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Trailer",
		"Www-Authenticate", "Proxy-Authenticate", "Authentication-Info":
		return true
	}
	return false
}

// without takes headers off.
func without(h http.Header, private func(name string) bool) {
	for name := range h {
		if private(name) {
			delete(h, name)
		}
	}
}

// trailed is a body behind which headers come.
type trailed struct {
	io.ReadCloser
	ended func()
}

// Read implements [io.Reader].
func (t trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.ended()
	}
	return n, err
}
