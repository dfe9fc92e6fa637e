package mock_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
)

func (w *world) from(origin, method, path string, header ...string) reply {
	r := httptest.NewRequest(method, strings.TrimSuffix(issuer, "/")+path, nil)
	r.Header.Set("Origin", origin)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.do(r)
}

func TestCORS(t *testing.T) {
	w := newWorld(t, mock.Config{})
	for _, c := range []struct{ name, origin, method, path, want string }{
		{"web origin", "http://localhost:3000", "POST", "/oauth/token", "http://localhost:3000"},
		{"origin of a callback", "http://127.0.0.1:8484", "POST", "/oauth/token", "http://127.0.0.1:8484"},
		{"unknown", "https://evil.example", "POST", "/oauth/token", ""},
		{"prefix", "http://localhost:30001", "POST", "/oauth/token", ""},
		{"null", "null", "POST", "/oauth/token", ""},
		{"userinfo, refused", "https://anybody.example", "GET", "/userinfo", "*"},
		{"jwks", "https://anybody.example", "GET", "/.well-known/jwks.json", "*"},
		{"discovery", "https://anybody.example", "GET", "/.well-known/openid-configuration", "*"},
	} {
		r := w.from(c.origin, c.method, c.path)
		if got := r.header.Get("Access-Control-Allow-Origin"); got != c.want {
			t.Errorf("%s: Allow-Origin %q, want %q", c.name, got, c.want)
		}
		wantCredentials := map[string]string{"": "", "*": "false"}
		credentials, fixed := wantCredentials[c.want]
		if !fixed {
			credentials = "true"
		}
		if got := r.header.Get("Access-Control-Allow-Credentials"); got != credentials {
			t.Errorf("%s: Allow-Credentials %q, want %q", c.name, got, credentials)
		}
	}
}

func TestPreflight(t *testing.T) {
	w := newWorld(t, mock.Config{})
	ask := func(origin, path string) reply {
		return w.from(origin, http.MethodOptions, path, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "auth0-client,authorization")
	}
	for path, origin := range map[string]string{"/oauth/token": "http://localhost:3000", "/userinfo": "https://anybody.example"} {
		r := ask(origin, path)
		if r.status != 204 || r.header.Get("Access-Control-Allow-Headers") != "auth0-client,authorization" || r.header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
	if r := ask("https://evil.example", "/oauth/token"); r.status != 204 || len(r.header.Values("Access-Control-Allow-Origin")) > 0 || r.header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("%d %v", r.status, r.header)
	}
	if r := w.from("http://localhost:3000", http.MethodOptions, "/oauth/token"); r.status != 404 {
		t.Errorf("OPTIONS without a preflight header: %d", r.status)
	}
}

func TestLoadCA(t *testing.T) {
	ca, err := mock.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Certificate("localhost", "::1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mock.LoadCA(ca.PEM(), []byte("garbage")); err == nil {
		t.Error("garbage is a key")
	}
	if _, err := mock.LoadCA([]byte("garbage"), ca.PEM()); err == nil {
		t.Error("garbage is a certificate")
	}
	server := httptest.NewUnstartedServer(newWorld(t, mock.Config{CA: ca}).Tenant)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	plain := &http.Client{Transport: &http.Transport{}}
	if res, err := plain.Get(server.URL); err == nil {
		_ = res.Body.Close()
		t.Error("a client without the CA trusts the tenant")
	}
	if r := newWorld(t, mock.Config{}).control("GET", "/_mock/ca.pem", ""); r.status != 404 {
		t.Errorf("%d", r.status)
	}
}
