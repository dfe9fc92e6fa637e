package mock_test

import (
	"net/http/httptest"
	"testing"

	"example.com/tokend/pkg/mock"
)

// Without Config.Issuer the issuer is of the Host header, which can be anything that a
// server accepts. A certificate can be made for names in UTF-8 only.
func TestJWKSOfAnyHost(t *testing.T) {
	m, err := mock.New(mock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{"%ff.localhost": 400, "%00": 200, "a_b:1": 200, "[::1]:1": 200, "xn--.localhost": 200, "": 200} {
		r := httptest.NewRequest("GET", "/.well-known/jwks.json", nil)
		r.Host = host
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%q: %d %s", host, w.Code, w.Body)
		}
	}
}
