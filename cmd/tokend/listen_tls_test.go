package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// makeCertificate writes a certificate for tokend.example.com, and its key, and
// returns the certificate.
func makeCertificate(t *testing.T, dir string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"tokend.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
	write(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// overTLS connects to addr as tokend.example.com, and trusts one certificate.
func overTLS(t *testing.T, addr string, trusted *x509.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestServe_TLS(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	dir := filepath.Join(home, "tls")
	first := makeCertificate(t, dir, 1)
	setenv(t, "TOKEND_TLS_LISTEN=127.0.0.1:0", "TOKEND_TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TOKEND_TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
	s := serve(t)
	found := regexp.MustCompile(`network=tls addr=(\S+)`).FindStringSubmatch(s.log.String())
	if found == nil {
		t.Fatalf("no TLS listener:\n%s", s.log)
	}
	content, err := os.ReadFile(filepath.Join(home, ".local/state/tokend/api.key"))
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(content))
	get := func(trusted *x509.Certificate, url, host, key string) (int, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := overTLS(t, found[1], trusted).Do(r)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	const url = "https://tokend.example.com/v1/clients"
	for name, c := range map[string]struct {
		url, host, key string
		status         int
	}{
		"a caller":      {url, "", key, 200},
		"by address":    {"https://" + found[1] + "/v1/clients", "", key, 200},
		"without a key": {url, "", "", 401},
		"another host":  {url, "evil.example", key, 403},
		"health":        {"https://tokend.example.com/healthz", "", "", 200},
	} {
		if status, body, err := get(first, c.url, c.host, c.key); err != nil || status != c.status {
			t.Errorf("%s: %d %s, %v", name, status, body, err)
		}
	}

	second := makeCertificate(t, dir, 2) // renewed while it serves
	if status, _, err := get(second, url, "", key); err != nil || status != 200 {
		t.Errorf("a renewed certificate is not used: %d, %v", status, err)
	}
	write(t, filepath.Join(dir, "tls.crt"), "not a certificate", 0o644)
	if status, _, err := get(second, url, "", key); err != nil || status != 200 {
		t.Errorf("after a file that cannot be used: %d, %v", status, err)
	}
	if log := s.log.String(); !strings.Contains(log, "the previous one is served") || strings.Contains(log, "PRIVATE KEY") {
		t.Errorf("log:\n%s", log)
	}

	setenv(t, "TOKEND_ADDR=https://"+found[1], "TOKEND_API_KEY="+key)
	if o := runTokend(t, "token", "demo"); o.code != exitConfig || !strings.Contains(o.stderr, "SSL_CERT_FILE") {
		t.Errorf("a command that does not know the authority: %+v", o)
	}
}

func TestServe_TLS_BusyPort(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	dir := filepath.Join(home, "tls")
	makeCertificate(t, dir, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	setenv(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_TLS_LISTEN="+l.Addr().String(),
		"TOKEND_TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TOKEND_TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
	if o := runTokend(t, "serve"); o.code != exitUnavailable || !strings.Contains(o.stderr, "tls_listen: ") || !strings.Contains(o.stderr, "hint: set TOKEND_TLS_LISTEN to another address") {
		t.Errorf("%+v", o)
	}
}

func TestServe_TLS_Refused(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	dir := filepath.Join(home, "tls")
	makeCertificate(t, dir, 1)
	if err := os.Chmod(filepath.Join(dir, "tls.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	setenv(t, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_TLS_LISTEN=127.0.0.1:0",
		"TOKEND_TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TOKEND_TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
	if o := runTokend(t, "serve"); o.code != exitConfig || !strings.Contains(o.stderr, "is open to everyone") || !strings.Contains(o.stderr, "hint: chmod 600") {
		t.Errorf("a key that everyone can read: %+v", o)
	}
	setenv(t, "TOKEND_TLS_CERT_FILE=")
	if o := runTokend(t, "serve"); o.code != exitConfig || !strings.Contains(o.stderr, "TOKEND_TLS_LISTEN needs TOKEND_TLS_CERT_FILE") {
		t.Errorf("no certificate: %+v", o)
	}
}
