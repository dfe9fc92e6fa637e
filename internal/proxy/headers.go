package proxy

import (
	"io"
	"net/http"
	"strings"
)

// Headers between a caller and tokend. Headers that begin with ownHeaders are never
// forwarded, in either direction.
const (
	// ErrorHeader marks an answer as tokend's own and holds the error's code.
	ErrorHeader = "Tokend-Error"

	requestIDHeader = "X-Request-Id" // to the upstream, and from it or from tokend

	ownHeaders     = "Tokend-"
	upstreamHeader = "Tokend-Upstream" // which upstream; without it the first one
	networkHeader  = "Tokend-Network"  // of a relay: the network of its own caller
)

// dropRequestHeaders removes from a request the headers between caller and tokend.
func dropRequestHeaders(h http.Header) {
	delete(h, "Referer") // it names the proxy itself: the guard refuses any other
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

// dropFromRequestTrailer reports whether a trailer of a request is dropped: a trailer may
// not decide who calls or where a request goes (RFC 9110 section 6.5.1), and here
// it could be the API key.
func dropFromRequestTrailer(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Host", "Connection", "Upgrade", "Te", "Expect", "Via", "Forwarded", "Referer":
		return true
	}
	return strings.HasPrefix(name, ownHeaders) || strings.HasPrefix(name, "X-Forwarded-")
}

// dropFromAnswer reports whether a header of an answer is dropped: it is tokend's
// alone, or meant for the upstream's own origin.
func dropFromAnswer(name string) bool {
	switch name {
	case "Alt-Svc", "Clear-Site-Data", "Refresh", "Strict-Transport-Security":
		return true
	}
	return strings.HasPrefix(name, ownHeaders) || strings.HasPrefix(name, "Access-Control-") // pages of other origins may not read answers
}

// dropFromAnswerTrailer reports whether a header is not allowed after a body and in an
// informational answer.
func dropFromAnswerTrailer(name string) bool {
	switch name {
	case "Location", "Content-Location", "Set-Cookie", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Trailer",
		"Www-Authenticate", "Proxy-Authenticate", "Authentication-Info":
		return true
	}
	return false
}

// remove removes the headers that drop names.
func remove(h http.Header, drop func(name string) bool) {
	for name := range h {
		if drop(name) {
			delete(h, name)
		}
	}
}

// trailedBody is a body with trailers after it.
type trailedBody struct {
	io.ReadCloser
	ended func()
}

// Read implements [io.Reader].
func (t trailedBody) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.ended()
	}
	return n, err
}
