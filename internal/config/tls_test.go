package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
)

func TestTLS_Settings(t *testing.T) {
	const files = "tls_cert_file: /c.pem\ntls_key_file: /k.pem\n"
	for name, c := range map[string]struct{ settings, want string }{
		"no files":        {"tls_listen: 0.0.0.0:8443\n", "tls_listen needs TOKEND_TLS_CERT_FILE"},
		"no listener":     {files, "tls_cert_file has no effect without tls_listen"},
		"no port":         {"tls_listen: 0.0.0.0\n" + files, `address "0.0.0.0" is not host:port`},
		"a port too high": {"tls_listen: 0.0.0.0:70000\n" + files, "has no port from 0 to 65535"},
		"a name":          {"tls_listen: tokend.example.com:8443\n" + files, "its host is not an IP address"},
	} {
		path := filepath.Join(t.TempDir(), "tokend.yaml")
		if err := os.WriteFile(path, []byte(c.settings+goodFile), 0o600); err != nil {
			t.Fatal(err)
		}
		_, faults := Load(environ(t, "TOKEND_CONFIG="+path), Paths{Socket: "/s", Store: "/d", Keyset: "/k", APIKey: "/a"})
		if len(faults) == 0 || !strings.Contains(faults.Error(), c.want) || faults[0].Hint == "" {
			t.Errorf("%s: %v, want %q", name, faults, c.want)
		}
	}
}

// certificate writes a certificate of a template, and its key.
func certificate(t *testing.T, dir string, template *x509.Certificate) TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "tokend"}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := TLS{Listen: ":0", CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	for name, b := range map[string]struct {
		kind string
		der  []byte
		mode fs.FileMode
	}{files.CertFile: {"CERTIFICATE", der, 0o644}, files.KeyFile: {"PRIVATE KEY", private, 0o600}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: b.kind, Bytes: b.der}), b.mode); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestTLS_Certificate(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	valid := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"tokend.example.com"}}
	}
	if c, err := certificate(t, t.TempDir(), valid()).Certificate(now); err != nil || c == nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		spoil  func(t *testing.T, f TLS)
		want   string
	}{
		"expired":       {change: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, want: "the certificate expired at 2026-06-01T11:59:59Z"},
		"not valid yet": {change: func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, want: "is not valid before 2026-06-01T12:01:00Z"},
		"without names": {change: func(c *x509.Certificate) { c.DNSNames = nil }, want: "names no host that callers could verify"},
		"an open key":   {spoil: func(t *testing.T, f TLS) { mode(t, f.KeyFile, 0o604) }, want: "tls_key_file: "},
		"another key":   {spoil: func(t *testing.T, f TLS) { rename(t, certificate(t, t.TempDir(), valid()).KeyFile, f.KeyFile) }, want: "private key does not match public key"},
		"no file":       {spoil: func(t *testing.T, f TLS) { remove(t, f.CertFile) }, want: "tls_cert_file: "},
		"no PEM":        {spoil: func(t *testing.T, f TLS) { rename(t, f.KeyFile, f.CertFile) }, want: "tls_key_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			template := valid()
			if c.change != nil {
				c.change(template)
			}
			files := certificate(t, t.TempDir(), template)
			if c.spoil != nil {
				c.spoil(t, files)
			}
			if _, err := files.Certificate(now); err == nil || !strings.Contains(err.Error(), c.want) || hint.Of(err) == "" {
				t.Errorf("%v (hint %q), want %q", err, hint.Of(err), c.want)
			}
		})
	}
}

func mode(t *testing.T, path string, m fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, m); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestTLS_ClientCAs_Faults(t *testing.T) {
	none := write(t, filepath.Join(t.TempDir(), "ca.pem"), "not a certificate\n", 0o644)
	for path, want := range map[string]string{none: "contains no certificate", "/nowhere/ca.pem": "no such file"} {
		if _, err := (TLS{ClientCAFile: path}).ClientCAs(); err == nil || !strings.Contains(err.Error(), "tls_client_ca_file") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
