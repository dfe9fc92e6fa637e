package format

import "testing"

// The entries of the configuration's own test, and others that a service which is
// not tokend might send.
func TestAllowed_EntriesOfADoubtfulService(t *testing.T) {
	for entry, host := range map[string]string{
		"git.example.com": "git.example.com", "git.example.com:8443": "git.example.com:8443", "oauth2@git.example.com": "GIT.example.com",
		"[::1]:8080": "[::1]:8080", "localhost": "localhost", "x_y.example": "x_y.example", "git.example.com:443": "git.example.com",
	} {
		if _, ok := allowed([]string{entry}, "https", host); !ok {
			t.Errorf("%s is refused for %s", entry, host)
		}
	}
	for _, entry := range []string{
		"https://git.example.com", "git.example.com/path", "*.example.com", ".example.com", "example.com.", "a b", "git.example.com:port",
		"git.example.com:+1", "git.example.com:123456", "git.example.com:", "@git.example.com", "a:b@git.example.com", "a\nb=c@git.example.com",
		"a\u2028b@git.example.com", "a@b@git.example.com", "::1", "[::1", "[fe80::1%eth0]", "[127.0.0.1]", "", "-a.example.com",
	} {
		_, host := splitEntry(entry)
		if user, ok := allowed([]string{entry}, "https", host); ok {
			t.Errorf("%q is accepted for %q with user %q", entry, host, user)
		}
	}
}

func TestOverWire_PlainHTTPOnlyToThisMachine(t *testing.T) {
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]:80": true, "LOCALHOST": true,
		"example.com": false, "localhost.example.com": false, "10.0.0.1": false, "[fe80::1]": false, "": false,
	} {
		if err := overWire("http", host); (err == nil) != ok {
			t.Errorf("http://%s: %v", host, err)
		}
		if err := overWire("https", host); err != nil {
			t.Errorf("https://%s: %v", host, err)
		}
	}
}
