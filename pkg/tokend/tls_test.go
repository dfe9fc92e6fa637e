package tokend

import (
	"crypto/x509"
	"net/http/httptest"
	"testing"
)

func TestClient_OverTLS(t *testing.T) {
	f := &fakeService{expiresIn: 3600}
	server := httptest.NewTLSServer(f)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := New(Service{Addrs: []string{server.URL}, Key: "key", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	token, err := c.Token(t.Context(), TokenRequest{Client: "demo"})
	if err != nil || token.AccessToken.Reveal() != "token-0" || f.auth != "Bearer key" {
		t.Errorf("%v, %v, sent %q", token, err, f.auth)
	}
}

func TestClient_OverTLS_VerifiesTheCertificate(t *testing.T) {
	f := &fakeService{}
	server := httptest.NewTLSServer(f)
	defer server.Close()
	c, err := New(Service{Addrs: []string{server.URL}, Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Token(t.Context(), TokenRequest{Client: "demo"})
	wantError(t, err, CodeAddress, "hint: use a name of the certificate; for an authority of your own set SSL_CERT_FILE")
	if f.auth != "" {
		t.Error("the key was sent")
	}
}
