package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
)

// TLS is the listener for callers of other machines.
type TLS struct {
	Listen            string // "": none
	CertFile, KeyFile string
	ClientCAFile      string // "": no client certificates
}

// ClientCAs reads the authorities of client certificates.
func (t TLS) ClientCAs() (*x509.CertPool, error) {
	return authorities("tls_client_ca_file", t.ClientCAFile)
}

// authorities reads the authorities of certificates from a file of a setting.
func authorities(setting, path string) (*x509.CertPool, error) {
	b, err := durable.ReadSecret(path, 0) // anyone may read a certificate
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, hint.Errorf("the certificates of the authorities, in PEM", "%s %s contains no certificate", setting, path)
	}
	return pool, nil
}

// Certificate reads the certificate and its key. It returns an error for a
// certificate that callers would reject.
func (t TLS) Certificate(now time.Time) (*tls.Certificate, error) {
	chain, err := durable.ReadSecret(t.CertFile, 0) // anyone may read a certificate
	if err != nil {
		return nil, fmt.Errorf("tls_cert_file: %w", err)
	}
	key, err := durable.ReadSecret(t.KeyFile, durable.Others)
	if err != nil {
		return nil, fmt.Errorf("tls_key_file: %w", err)
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil { // names no content of the files
		return nil, hint.Errorf("both in PEM: the certificate of the server first, and the key that belongs to it", "tls_cert_file %s and tls_key_file %s: %w", t.CertFile, t.KeyFile, err)
	}
	return &c, t.usable(c.Leaf, now)
}

func (t TLS) usable(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return hint.Errorf("renew it", "tls_cert_file %s: the certificate expired at %s", t.CertFile, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return hint.Errorf("check this machine's clock", "tls_cert_file %s: the certificate is not valid before %s", t.CertFile, leaf.NotBefore.UTC().Format(time.RFC3339))
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return hint.Errorf("issue one with a subject alternative name", "tls_cert_file %s: the certificate names no host that callers could verify", t.CertFile)
	}
	return nil
}

// checkTLS checks the address. The files are checked when the listener is opened, as
// other files of the service are.
func (l *loader) checkTLS(t TLS) {
	for setting, file := range map[string]string{"tls_cert_file": t.CertFile, "tls_key_file": t.KeyFile} {
		switch {
		case t.Listen != "" && file == "":
			l.add(setting, "name the file", "%s needs %s", l.nameOf("tls_listen"), l.nameOf(setting))
		case t.Listen == "" && file != "":
			l.add(setting, "set tls_listen, or remove it", "%s has no effect without tls_listen", l.nameOf(setting))
		}
	}
	if t.Listen == "" {
		if t.ClientCAFile != "" {
			l.add("tls_client_ca_file", "set tls_listen, or remove it", "%s has no effect without tls_listen", l.nameOf("tls_client_ca_file"))
		}
		return
	}
	if err := checkAddress(t.Listen); err != nil {
		l.add("tls_listen", "such as 0.0.0.0:8443", "%s: %v", l.nameOf("tls_listen"), err)
	}
}

// checkAddress checks an address to listen on: an IP address, or none for all, and a
// port.
func checkAddress(addr string) error {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q is not host:port", addr)
	}
	if port, err := strconv.Atoi(service); err != nil || port < 0 || port > 65535 {
		return fmt.Errorf("address %q has no port from 0 to 65535", addr)
	}
	if host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return errors.New("its host is not an IP address")
	}
	return nil
}
