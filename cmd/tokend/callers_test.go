package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// authority signs client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// issue returns a client certificate with a change to a valid one without names.
func (a authority) issue(t *testing.T, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "build.example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

const callersFile = `
tls_listen: 127.0.0.1:0
tls_cert_file: DIR/tls.crt
tls_key_file: DIR/tls.key
tls_client_ca_file: DIR/clients.crt
audit_file: DIR/audit.jsonl
callers:
  build:
    certificates: ["dns:Build.example.com", "uri:spiffe://example.com/build"]
    clients: [demo]
  admin:
    certificates: ["email:admin@example.com"]
    clients: [demo]
    access: manage
`

func TestServe_ClientCertificates(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	dir := filepath.Join(home, "tls")
	server := makeCertificate(t, dir, 1)
	ca, other := newAuthority(t), newAuthority(t)
	write(t, filepath.Join(dir, "clients.crt"), ca.pem(), 0o644)
	config := write(t, filepath.Join(home, "tokend.yaml"), strings.ReplaceAll(callersFile, "DIR", dir), 0o600)
	setenv(t, "TOKEND_CONFIG="+config)
	s := serve(t)
	addr := regexp.MustCompile(`network=tls addr=(\S+)`).FindStringSubmatch(s.log.String())
	if addr == nil {
		t.Fatalf("no TLS listener:\n%s", s.log)
	}
	dns := func(c *x509.Certificate) { c.DNSNames = []string{"BUILD.example.com"} }
	build := ca.issue(t, dns)
	// Without a grant, login_required is the answer to a caller that may ask.
	for name, c := range map[string]struct {
		cert         *tls.Certificate
		method, path string
		status       int
		says         string // in the answer, or in the log without one
	}{
		"a host": {build, "GET", "/token", 409, "login_required"},
		"a URI": {ca.issue(t, func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/build"}}
		}), "GET", "/token", 409, "login_required"},
		"a reader":    {build, "POST", "/refresh", 403, "manage_forbidden"},
		"a manager":   {ca.issue(t, func(c *x509.Certificate) { c.EmailAddresses = []string{"admin@example.com"} }), "POST", "/refresh", 409, "login_required"},
		"unknown":     {ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), "GET", "/token", 401, "is not one of a caller"},
		"no names":    {ca.issue(t, func(*x509.Certificate) {}), "GET", "/token", 401, "the client certificate has no subject alternative name"},
		"none":        {nil, "GET", "/token", 401, "no API key"},
		"expired":     {ca.issue(t, func(c *x509.Certificate) { dns(c); c.NotAfter = time.Now().Add(-time.Minute) }), "GET", "/token", 0, `reason="certificate has expired or is not yet valid`},
		"for servers": {ca.issue(t, func(c *x509.Certificate) { dns(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "GET", "/token", 0, `incompatible key usage`},
		"another's":   {other.issue(t, dns), "GET", "/token", 0, `reason="certificate signed by unknown authority`},
	} {
		status, body := s.asCertificate(t, addr[1], server, c.cert, c.method, "/v1/clients/demo"+c.path)
		if status != c.status {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if text := body; status != 0 && !strings.Contains(text, c.says) {
			t.Errorf("%s: the answer lacks %q: %s", name, c.says, text)
		}
		if status == 0 { // the server logs after the client has the alert
			eventually(t, name+": the log has "+c.says, func() bool { return strings.Contains(s.log.String(), c.says) })
		}
	}
	if log := s.log.String(); !strings.Contains(log, `level=WARN msg="refused a client certificate" reason="`) || !strings.Contains(log, `hint="renew the certificate`) {
		t.Errorf("log:\n%s", log)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "audit.jsonl")); err != nil || !strings.Contains(string(b), `"caller":"build","remote":"127.0.0.1","client":"demo"`) {
		t.Errorf("%s, %v", b, err)
	}

	// Another authority is used without a restart, and the former one no longer.
	write(t, filepath.Join(dir, "clients.crt"), other.pem()+"\n", 0o644)
	if status, _ := s.asCertificate(t, addr[1], server, build, "GET", "/v1/clients/demo/token"); status != 0 {
		t.Errorf("the former authority: %d", status)
	}
	if status, body := s.asCertificate(t, addr[1], server, other.issue(t, dns), "GET", "/v1/clients/demo/token"); status != 409 {
		t.Errorf("the new authority: %d %s", status, body)
	}
	write(t, filepath.Join(dir, "clients.crt"), "nothing", 0o644)
	if status, _ := s.asCertificate(t, addr[1], server, other.issue(t, dns), "GET", "/v1/clients/demo/token"); status != 409 || !strings.Contains(s.log.String(), "contains no certificate") {
		t.Errorf("after a file that cannot be used: %d\n%s", status, s.log)
	}
	s.stop()
	if o := runTokend(t, "serve"); o.code != exitConfig || !strings.Contains(o.stderr, "tls_client_ca_file "+dir+"/clients.crt contains no certificate") || !strings.Contains(o.stderr, "hint: ") {
		t.Errorf("%+v", o)
	}
}

// asCertificate sends a request; status 0: the handshake failed.
func (s *served) asCertificate(t *testing.T, addr string, server *x509.Certificate, cert *tls.Certificate, method, path string) (status int, body string) {
	t.Helper()
	client := overTLS(t, addr, server)
	if cert != nil {
		client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://tokend.example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A socket is open to other users only if callers names some, and never its directory.
func TestServe_SharedSocket(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t)
	dir := filepath.Join(home, "run")
	path := filepath.Join(dir, "s")
	config := filepath.Join(home, "tokend.yaml")
	setenv(t, "TOKEND_CONFIG="+config, "TOKEND_SOCKET="+path, "TOKEND_LISTEN=127.0.0.1:0")
	for name, c := range map[string]struct {
		callers string
		dir     os.FileMode
		want    string // "": it serves
		mode    os.FileMode
	}{
		"this user":       {"", 0o700, "", 0o600},
		"others":          {"uids: [\"65534\"]", 0o711, "", 0o666},
		"a group":         {"gids: [\"65534\"]", 0o755, "", 0o666},
		"private":         {"uids: [\"65534\"]", 0o700, "lets no other user in (mode 0700)", 0},
		"open":            {"uids: [\"65534\"]", 0o777, "can be written by others", 0},
		"open, for owner": {"", 0o711, "is open to others", 0},
	} {
		text := "log_level: info\n"
		if c.callers != "" {
			text += fmt.Sprintf("callers:\n  other:\n    %s\n    clients: [demo]\n", c.callers)
		}
		write(t, config, text, 0o600)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, c.dir); err != nil {
			t.Fatal(err)
		}
		if c.want != "" {
			if o := runTokend(t, "serve"); o.code != exitConfig || !strings.Contains(o.stderr, c.want) || !strings.Contains(o.stderr, "hint: chmod 7") {
				t.Errorf("%s: %+v", name, o)
			}
			continue
		}
		s := serve(t)
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != c.mode {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
		s.stop()
	}
}
