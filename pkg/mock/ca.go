package mock

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

// CA is a certificate authority for tenants that listen with TLS, which some SDKs
// require.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes a certificate authority that is valid for ten years, from yesterday on.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("mockauth0 test CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return newCA(template, key)
}

func newCA(template *x509.Certificate, key crypto.Signer) (*CA, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &CA{cert: cert, key: key}, err
}

// LoadCA makes a certificate authority from a PEM certificate and its PEM key, so
// that clients can keep trusting it after a restart.
func LoadCA(certPEM, keyPEM []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("mock: CA: %w", err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("mock: CA: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !cert.IsCA {
		return nil, fmt.Errorf("mock: CA: certificate %q is not a CA certificate", cert.Subject.CommonName)
	}
	return &CA{cert: cert, key: signer}, nil
}

func certificate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil { // crypto/rand never fails
		panic(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
	}
}

// PEM returns the authority's certificate, for SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and the like.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Certificate returns a server certificate for host names and addresses, valid
// for 397 days, the most that Apple's clients accept.
func (ca *CA) Certificate(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := certificate("mockauth0")
	leaf.NotAfter = leaf.NotBefore.AddDate(0, 0, 397)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}, nil
}

// CA returns the tenant's certificate authority, nil when it has none.
func (t *Tenant) CA() *CA { return t.cfg.CA }

// Client returns an HTTP client that trusts the tenant's CA. It keeps no cookies,
// uses no proxy and follows no redirects, so that a test sees each response.
func (t *Tenant) Client() *http.Client {
	transport := &http.Transport{}
	if t.cfg.CA != nil {
		pool := x509.NewCertPool()
		pool.AddCert(t.cfg.CA.cert)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// showCA is GET /_mock/ca.pem.
func (t *Tenant) showCA(w http.ResponseWriter, _ *http.Request) {
	if t.cfg.CA == nil {
		controlError(w, http.StatusNotFound, "the tenant has no TLS listener; set MOCKAUTH0_TLS_LISTEN")
		return
	}
	write(w, http.StatusOK, "application/x-pem-file", t.cfg.CA.PEM())
}
