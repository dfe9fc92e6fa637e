package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"example.com/tokend/pkg/flow"
)

// UpstreamError says that an upstream did not answer.
type UpstreamError struct {
	Host, Reason string

	hint string
}

// Error says what is wrong, without what the upstream sent.
func (e *UpstreamError) Error() string { return e.Host + ": " + e.Reason }

// Hint returns what to do.
func (e *UpstreamError) Hint() string { return e.hint }

// errBadAnswer is an answer that HTTP/1 does not allow; Go's HTTP/2 accepts it.
var errBadAnswer = errors.New("invalid status or Content-Length")

// explain says why a connection failed, without text that the upstream sent, which may
// contain the token.
func explain(err error) (reason, hint string) {
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was canceled", "send it again"
	case errors.As(err, &dns):
		return "the name cannot be resolved", "check the host's name and this machine's DNS"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time", "try again, or check that it is up and reachable from this machine"
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect: " + op.Err.Error(), "check that it is up and reachable from this machine"
	case isTLS(err):
		text := strings.ReplaceAll(err.Error(), "hint: ", "hint ") // a certificate's text must not look like tokend's hint
		return "TLS handshake failed: " + text, "check its certificate, and that this machine trusts its CA"
	}
	return "the connection broke, or the answer was not HTTP", "check that an HTTP server answers there"
}

// isTLS reports whether err is a handshake error, whose text is safe to show.
func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &host)
}

func badRequest(hint, format string, args ...any) error {
	return &flow.Error{Op: "proxy", Class: flow.ClassRequest, Description: fmt.Sprintf(format, args...), Hint: hint}
}

func forbidden(hint, format string, args ...any) error {
	return &flow.Error{Op: "proxy", Class: flow.ClassUpstream, Description: fmt.Sprintf(format, args...), Hint: hint}
}
