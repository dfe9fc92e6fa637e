package main

import (
	"net"
	"testing"
)

// Each listener announces the issuer that its clients use.
func TestIssuerOfEachListener(t *testing.T) {
	const derived, derivedTLS = "http://localhost:8400/", "https://localhost:8443/"
	for _, c := range []struct {
		what                      string
		issuer, browser           string
		noTLS                     bool
		wantPlain, wantTLS, named string
	}{
		{what: "none", wantPlain: derived, wantTLS: derivedTLS, named: derived + "a/"},
		{what: "http", issuer: "http://mock:1/", wantPlain: "http://mock:1/", wantTLS: derivedTLS, named: "http://mock:1/a/"},
		{what: "https is the TLS listener's", issuer: "https://mock:8443/", wantPlain: derived, wantTLS: "https://mock:8443/", named: derived + "a/"},
		{what: "https behind a proxy", issuer: "https://mock/", noTLS: true, wantPlain: "https://mock/", named: "https://mock/a/"},
		{what: "https for programs, http for browsers", issuer: "https://mock:8443/", browser: derived, wantPlain: "https://mock:8443/", wantTLS: "https://mock:8443/", named: "https://mock:8443/a/"},
		{what: "http for programs, https for browsers", issuer: "http://mock:1/", browser: derivedTLS, wantPlain: "http://mock:1/", wantTLS: "http://mock:1/", named: "http://mock:1/a/"},
		{what: "of the request", issuer: followRequest},
	} {
		s := settings{Listen: "127.0.0.1:8400", TLSListen: "127.0.0.1:8443", Issuer: c.issuer, BrowserURL: c.browser}
		if c.noTLS {
			s.TLSListen = ""
		}
		plain := s.plainBase(&net.TCPAddr{Port: 8400})
		if got := plain.of(""); got != c.wantPlain {
			t.Errorf("%s: plain %q, want %q", c.what, got, c.wantPlain)
		}
		if got := plain.of("a"); got != c.named {
			t.Errorf("%s: tenant a %q, want %q", c.what, got, c.named)
		}
		if got := s.tlsBase(&net.TCPAddr{Port: 8443}).of(""); !c.noTLS && got != c.wantTLS {
			t.Errorf("%s: TLS %q, want %q", c.what, got, c.wantTLS)
		}
	}
	if got := base(derived).of("a.localhost"); got != "http://a.localhost:8400/" {
		t.Errorf("by host: %q", got)
	}
	if got := base("https://mock/x/").of("a.localhost"); got != "https://a.localhost/" {
		t.Errorf("by host: %q", got)
	}
}
