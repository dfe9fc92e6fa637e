package flow

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// failedCheck returns the finding for an error.
func failedCheck(check string, e *Error) Finding {
	f := Finding{Check: check, Result: ResultProblem, Class: e.Class, Text: e.Description, Hint: e.Hint}
	if f.Text == "" && e.Err != nil {
		f.Text = e.Err.Error()
	}
	if f.Hint == "" && e.Class != ClassConfig {
		f.Hint = "try again; if it persists, check that issuer is the provider's address"
	}
	return f
}

// networkFinding returns the finding for a failed request.
func networkFinding(check string, err error) Finding { return failedCheck(check, asError(check, err)) }

// describeNetwork describes a request to host that got no answer. Each cause has
// its own hint.
func describeNetwork(e *Error, host string) {
	var dns *net.DNSError
	var op *net.OpError
	switch err := e.Err; {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.Description = fmt.Sprintf("the proxy to %s does not answer: %v", host, op.Err)
		e.Hint = "check http_proxy and https_proxy, or put the tenant's host in no_proxy"
	case errors.As(err, &dns) && !dns.IsTimeout:
		e.Description, e.Hint = fmt.Sprintf("the name %q cannot be resolved: %s", dns.Name, dns.Err), "check the spelling of issuer, and this machine's DNS"
	case describeTLSError(e, host):
		e.Class = ClassConfig
	case e.Class == ClassTimeout:
		e.Description, e.Hint = host+" does not answer in time", "check network, firewall and proxy (https_proxy) between here and the tenant"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Description, e.Hint = "nothing listens at "+host+": connection refused", "check host and port of issuer; is the provider running?"
	}
}

// describeTLSError describes a TLS error, and reports whether e is one.
func describeTLSError(e *Error, host string) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch err := e.Err; {
	case errors.As(err, &unknown):
		e.Description = "the certificate of " + host + " is signed by an authority that this machine does not trust"
		e.Hint = "add the authority to the system's certificates, or set SSL_CERT_FILE to a PEM file with it (of mockauth0: mockauth0 ca)"
	case errors.As(err, &name):
		e.Description = "the certificate of " + host + " is for other names: " + clean(strings.Join(name.Certificate.DNSNames, ", "), 256)
		e.Hint = "configure the issuer under one of these names"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Description = "the certificate of " + host + " has expired or is not valid yet: " + invalid.Detail
		e.Hint = "check this machine's clock; if it is right, the provider must renew its certificate"
	case errors.As(err, &invalid):
		e.Description, e.Hint = "the certificate of "+host+" is not valid: "+invalid.Error(), "the provider must replace its certificate"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		e.Description, e.Hint = host+" does not speak TLS", "is issuer really https://? Plain HTTP is for loopback"
	default:
		return false
	}
	return true
}
