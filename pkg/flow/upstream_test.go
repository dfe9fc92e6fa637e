package flow

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestParseUpstream(t *testing.T) {
	for raw, want := range map[string]string{
		"https://api.example.com":            "https://api.example.com",
		"https://API.example.com:443/v2/":    "https://api.example.com/v2/",
		"https://api.example.com:8443/a%20b": "https://api.example.com:8443/a%20b",
		"http://127.0.0.1:8400/_mock/":       "http://127.0.0.1:8400/_mock/",
		"http://localhost:80/":               "http://localhost/",
		"https://[2001:db8::1]:443/":         "https://[2001:db8::1]/",
	} {
		if u, err := ParseUpstream(raw, false); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", raw, u, err)
		}
	}
	for raw, part := range map[string]string{
		"":                                "has no host",
		"api.example.com":                 "has no host",
		"https:api.example.com":           "has no host",
		"https:///path":                   "has no host",
		"https://:443/":                   "has no host",
		"ftp://api.example.com/":          "is not an https URL",
		"wss://api.example.com/":          "is not an https URL",
		"http://api.example.com/":         "is plain HTTP to another machine",
		"http://127.0.0.1.example.com/":   "is plain HTTP to another machine",
		"https://user:CANARY@example.com": "contains a user",
		"https://CANARY@example.com/":     "contains a user",
		"https://api.example.com/?a=b":    "has a query",
		"https://api.example.com/?":       "has a query",
		"https://api.example.com/#x":      "has a query",
		"https://api.example.com/a/../b":  "ambiguous path",
		"https://api.example.com/%2e%2e/": "ambiguous path",
		"https://api.example.com/a//b":    "ambiguous path",
		"https://api.example.com/a%2Fb":   "ambiguous path",
		`https://api.example.com/a\b`:     "ambiguous path",
		`https://api.example.com\@x.test`: "is not a URL",
		"https://api.example.com:port/":   "is not a URL",
		"https://%zz/":                    "is not a URL",
		"\x00":                            "is not a URL",
	} {
		_, err := ParseUpstream(raw, false)
		e := wantError(t, err, ClassConfig, part)
		if strings.Contains(e.Error(), "CANARY") || !strings.Contains(e.Error(), "\nhint: ") {
			t.Errorf("%q: %v", raw, e)
		}
	}
	if _, err := ParseUpstream("http://api.example.com/", true); err != nil {
		t.Errorf("plain HTTP that was allowed: %v", err)
	}
}

func TestWithin(t *testing.T) {
	list := upstreams("https://api.example.com/v2/", "https://other.example.com")
	for raw, want := range map[string]int{ // which upstream; -1: none
		"https://api.example.com/v2":                         0,
		"https://api.example.com/v2/":                        0,
		"https://api.example.com/v2/a%2Fb?x=/../":            0,
		"https://api.example.com/v2/.../a..b/..c":            0,
		"https://api.example.com/v2/100%25":                  0,
		"https://api.example.com/v2//a":                      0,
		"https://api.example.com/v2/@scope%2fname":           0,
		"https://api.example.com/v2/https://evil/":           0,
		"https://API.EXAMPLE.COM:443/v2/a":                   0,
		"https://other.example.com":                          1,
		"https://other.example.com/anything":                 1,
		"https://api.example.com/":                           -1,
		"https://api.example.com/v22":                        -1,
		"https://api.example.com/V2/":                        -1,
		"https://api.example.com/v2%2fa":                     -1,
		"https://api.example.com/v2/../v3":                   -1,
		"https://api.example.com/v2/..":                      -1,
		"https://api.example.com/v2/%2e%2e/v3":               -1,
		"https://api.example.com/v2/.%2E/v3":                 -1,
		"https://api.example.com/v2/%2e%2e%2fv3":             -1,
		"https://api.example.com/v2/%252e%252e/v3":           -1,
		"https://api.example.com/v2/%25252e%25252e/v3":       -1,
		"https://api.example.com/v2/%252e%252e/%25":          -1,
		"https://api.example.com/v2/..;a=b/v3":               -1,
		"https://api.example.com/v2/..%5cv3":                 -1,
		"https://api.example.com/v2/%c0%ae%c0%ae/v3":         -1,
		"https://api.example.com/v2/%e0%80%ae%e0%80%ae/x":    -1,
		"https://api.example.com/v2/%f0%80%80%ae./v3":        -1,
		"https://api.example.com/v2/%ef%bc%8e%ef%bc%8e/":     -1, // full width
		"https://api.example.com/v2/%e2%80%a5/v3":            -1, // two dot leader
		"https://api.example.com/v2/a%ef%bc%8f..%ef%bc%8fx":  -1,
		"https://api.example.com/v2/..%ef%bc%bcv3":           -1,
		"https://api.example.com/v2/%ef%b8%b0/v3":            -1, // two dot leader, upright
		"https://api.example.com/v2/..%ef%bc%9bx":            -1, // semicolons
		"https://api.example.com/v2/..%cd%bex":               -1,
		"https://api.example.com/v2/..%ef%bc%9fx":            -1, // question mark
		"https://api.example.com/v2/..%ef%bc%83x":            -1, // number sign
		"https://api.example.com/v2/%ef%bc%852e%ef%bc%852e/": -1, // percent signs
		"https://api.example.com/v2/..%3fx":                  -1,
		"https://api.example.com/v2/..%23x":                  -1,
		"https://api.example.com/v2/..%20/v3":                -1,
		"https://api.example.com/v2/%e0%a4%85%f0%9f%98%80":   0,
		"https://api.example.com/v2/%e9t%e9":                 0,
		"https://api.example.com/v2/a%3fb%20":                0,
		"https://api.example.com/v2/./v3":                    -1,
		"https://api.example.com/v2/a%00":                    -1,
		"https://api.example.com/v2/a%0d%0aHost:x":           -1,
		"https://api.example.com:8443/v2/":                   -1,
		"http://api.example.com/v2/":                         -1,
		"https://api.example.com.evil.test/v2/":              -1,
		"https://evil.test/v2/":                              -1,
		"https://x@api.example.com/v2/":                      -1,
		"https://api.example.com@evil.test/v2/":              -1,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		got := Within(list, u)
		if want < 0 && got != nil || want >= 0 && got != list[max(want, 0)] {
			t.Errorf("%s: %v", raw, got)
		}
	}
	if Within(nil, list[0]) != nil {
		t.Error("in an empty list")
	}
}

// An accepted path stays inside the upstream when a server decodes it any number
// of times and removes dot segments.
func FuzzWithin(f *testing.F) {
	for _, s := range []string{"/a", "/../x", "/%2e%2e/x", "/%252e%252e%252fx", `/..\x`, "/..;/x", "/a/%2e"} {
		f.Add(s)
	}
	list := upstreams("https://api.example.com/v2/")
	f.Fuzz(func(t *testing.T, rest string) {
		u, err := url.Parse("https://api.example.com/v2" + rest)
		if err != nil || Within(list, u) == nil {
			return
		}
		path := u.EscapedPath()
		for range 4 {
			clean := (&url.URL{Scheme: "https", Host: "x", Path: "/"}).ResolveReference(&url.URL{Path: strings.ReplaceAll(path, `\`, "/")}).Path
			if clean != "/v2" && !strings.HasPrefix(clean, "/v2/") {
				t.Fatalf("%q leads to %q", rest, clean)
			}
			path = unescaped(path)
		}
	})
}

func TestAllowed_ChecksHostHeader(t *testing.T) {
	r := httptest.NewRequest("GET", "https://api.example.com/", nil)
	if r.Host = "API.example.com:443"; !allowed(upstreams("https://api.example.com"), r) {
		t.Error("the same host in another spelling")
	}
	if r.Host = "api.example.com:8443"; allowed(upstreams("https://api.example.com"), r) {
		t.Error("another port")
	}
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
