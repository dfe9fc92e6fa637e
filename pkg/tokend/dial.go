package tokend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// timeout is longer than the service makes a caller wait.
const timeout = 50 * time.Second

// endpoint is where a service listens.
type endpoint struct {
	network, addr string
	tls           bool
}

// parseAddr parses an address of [Service]. Without TLS it must be on this machine,
// because the key is sent there in the clear.
func parseAddr(addr string) (endpoint, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); path == "" {
			return endpoint{}, addressError("such as unix:/run/tokend/tokend.sock", "the address unix: has no path")
		}
		return endpoint{network: "unix", addr: path}, nil
	}
	const hint = "such as http://127.0.0.1:8484"
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return endpoint{}, addressError(hint, "the address is not http://HOST:PORT, https://HOST:PORT or unix:/path")
	}
	host, port := u.Hostname(), u.Port()
	if u.Scheme == "https" {
		return endpoint{network: "tcp", addr: net.JoinHostPort(host, first(port, "443")), tls: true}, nil
	}
	port = first(port, "80")
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || ip != netip.AddrFrom4([4]byte{127, 0, 0, 1}) && ip != netip.IPv6Loopback()) {
		return endpoint{}, addressError(hint, "host %q of the address is not 127.0.0.1, [::1] or localhost, and http has no TLS", host)
	}
	return endpoint{network: "tcp", addr: net.JoinHostPort(host, port)}, nil
}

// newTransport connects to the first endpoint that answers, without a proxy.
func newTransport(endpoints []endpoint, ownOnly bool, roots *x509.CertPool) *http.Transport {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		err := errors.New("no address is set")
		var failed []string
		for _, e := range endpoints {
			var c net.Conn
			if c, err = d.DialContext(ctx, e.network, e.addr); err != nil {
				failed = append(failed, err.Error())
				continue
			}
			if !ownOnly {
				return c, nil
			}
			if err = checkOwner(c, os.Geteuid()); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return c, nil
		}
		if len(failed) > 1 {
			return nil, &dialError{strings.Join(failed, "; "), err}
		}
		return nil, err
	}
	return &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableCompression: true, MaxIdleConnsPerHost: 64, ExpectContinueTimeout: time.Second,
	}
}

// dialError is the error of the last address, with the text of the errors of all: the one
// that is wrong may be another than the last.
type dialError struct {
	text string
	last error
}

func (e *dialError) Error() string { return e.text }
func (e *dialError) Unwrap() error { return e.last }

// noRedirect returns a redirect as the answer, so that no request leaves this
// machine.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
