package flow

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// ParseUpstream parses the URL of an API that may receive a token, including
// everything under its path: https, or http on loopback and, with insecureHTTP,
// anywhere. It must have a host, and no user, query, fragment or ambiguous path.
// The error is an [*Error] of [ClassConfig].
func ParseUpstream(raw string, insecureHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badUpstream("is not a URL") // the parser's error quotes the URL, including the user
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "" || strings.ContainsAny(u.Host, `\ `):
		return nil, badUpstream("%q has no host", u.Redacted())
	case u.User != nil:
		return nil, badUpstream("of host %q contains a user or a password", u.Host)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return nil, badUpstream("%q has a query or a fragment", u.Scheme+"://"+u.Host+u.EscapedPath())
	case u.Scheme == "http" && (insecureHTTP || loopback(u.Hostname())):
	case u.Scheme == "http":
		return nil, badUpstream("%q is plain HTTP to another machine: anyone on the network can read the token", raw)
	case u.Scheme != "https":
		return nil, badUpstream("%q is not an https URL", raw)
	}
	if p := u.EscapedPath(); !plainPath(p) || strings.Contains(p, "//") || strings.Contains(strings.ToLower(p), "%2f") {
		return nil, badUpstream("%q has an ambiguous path", raw)
	}
	u.Host = strings.TrimPrefix(origin(u), u.Scheme+"://")
	return u, nil
}

func badUpstream(format string, a ...any) error {
	e := configError("use a URL such as https://api.example.com/v2/", "upstream "+format, a...)
	e.Op = "upstream"
	return e
}

// origin returns scheme, host and port of u in a normalized form.
func origin(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

// Within returns the first of upstreams that contains u, or nil. It also returns
// nil if the path could lead out of the upstream at a server that decodes it
// twice or removes dot segments.
func Within(upstreams []*url.URL, u *url.URL) *url.URL {
	if u.User != nil || u.Opaque != "" || !plainPath(u.EscapedPath()) {
		return nil
	}
	for _, up := range upstreams {
		prefix := strings.TrimSuffix(up.EscapedPath(), "/")
		rest, ok := strings.CutPrefix(u.EscapedPath(), prefix)
		if ok && (rest == "" || rest[0] == '/') && origin(u) == origin(up) {
			return up
		}
	}
	return nil
}

// allowed reports whether r goes to one of upstreams, including its Host header:
// a shared frontend would route the token by that.
func allowed(upstreams []*url.URL, r *http.Request) bool {
	host := *r.URL
	if r.Host != "" {
		host.Host = r.Host
	}
	return Within(upstreams, r.URL) != nil && origin(&host) == origin(r.URL)
}

// plainPath reports whether every server reads path, which is escaped, as the same
// path: it decodes once, to characters that no server maps to a delimiter, and has
// no dot segment.
func plainPath(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil || percentEncoded().MatchString(decoded) { // some servers decode again
		return false
	}
	for i, r := range decoded {
		if !plainRune(r, decoded[i]) {
			return false
		}
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if end := strings.IndexAny(segment, ";?#"); end >= 0 { // parameters, or a query after decoding
			segment = segment[:end]
		}
		if name := strings.TrimRight(segment, " "); name == "." || name == ".." { // Windows drops the spaces
			return false
		}
	}
	return true
}

var percentEncoded = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("%[0-9A-Fa-f]{2}")
})

// plainRune reports whether a character may stand in a decoded path. first is its
// first byte. Outside of ASCII these are letters, marks, digits, symbols, dashes,
// quotes and brackets: what Unicode's compatibility forms (NFKC, UAX #15) map to a
// dot, a slash or another delimiter is other punctuation.
func plainRune(r rune, first byte) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= ' ' && r != 0x7f && r != '\\'
	case r == utf8.RuneError: // a byte of Latin-1, but none that begins an overlong encoding, where C0 AE is a dot
		return first >= 0xc2 && first != 0xe0 && first != 0xf0
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.S, unicode.Pd, unicode.Pi, unicode.Pf, unicode.Ps, unicode.Pe, unicode.Pc)
}
