package flow

import (
	"net/http"
	"net/url"
	"strings"
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
	if p := u.EscapedPath(); ambiguous(p) || strings.Contains(p, "//") || strings.Contains(strings.ToLower(p), "%2f") {
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
	if u.User != nil || u.Opaque != "" || ambiguous(u.EscapedPath()) {
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

// ambiguous reports whether some server could read path, which is escaped, as
// another path: dot segments, however often encoded, with parameters (..;) or
// with characters that some servers map to dots, backslashes, and characters that
// do not belong in a path.
func ambiguous(path string) bool {
	for range 5 {
		for i := range len(path) {
			if c := path[i]; c < ' ' || c == 0x7f || c == '\\' || overlong(path[i:]) {
				return true
			}
		}
		plain := lookalikes.Replace(path)
		if strings.Contains(plain, `\`) {
			return true
		}
		for segment := range strings.SplitSeq(plain, "/") {
			if end := strings.IndexAny(segment, ";?#"); end >= 0 { // parameters, or a query after decoding
				segment = segment[:end]
			}
			if name := strings.TrimRight(segment, " "); name == "." || name == ".." { // Windows drops the spaces
				return true
			}
		}
		decoded := unescaped(plain)
		if decoded == path {
			return false
		}
		path = decoded
	}
	return true
}

// lookalikes are the characters that Unicode compatibility forms (NFKC, UAX #15)
// map to dots, slashes and other delimiters of a path.
var lookalikes = strings.NewReplacer(
	"\uff0e", ".", "\u2024", ".", "\ufe52", ".", "\u2025", "..", "\ufe30", "..",
	"\uff0f", "/", "\uff3c", `\`, "\ufe68", `\`,
	"\uff1b", ";", "\ufe14", ";", "\ufe54", ";", "\u037e", ";",
	"\uff1f", "?", "\ufe16", "?", "\ufe56", "?", "\u2047", "?", "\u2048", "?",
	"\uff03", "#", "\ufe5f", "#", "\uff05", "%", "\ufe6a", "%",
)

// overlong reports whether s begins with an overlong UTF-8 encoding: C0 AE is a
// dot to a lenient decoder.
func overlong(s string) bool {
	second := byte(0xff)
	if len(s) > 1 {
		second = s[1]
	}
	switch s[0] {
	case 0xc0, 0xc1:
		return true
	case 0xe0:
		return second >= 0x80 && second < 0xa0
	case 0xf0:
		return second >= 0x80 && second < 0x90
	}
	return false
}

// unescaped decodes percent-encoding and keeps malformed sequences.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if d, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(d)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
