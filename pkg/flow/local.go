package flow

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// localTimeout is longer than tokend lets a caller wait.
const localTimeout = 50 * time.Second

// LocalClient returns an HTTP client for a service of this machine, and the URL
// that its paths are appended to. An address is "unix:/path" or
// "http://HOST:PORT" with 127.0.0.1, [::1] or localhost; of several the first
// that answers is used. The client asks no proxy, whatever http_proxy says, and
// follows no redirect: what it sends is for this machine.
func LocalClient(addrs ...string) (c *http.Client, base string, err error) {
	var places []place
	for _, addr := range addrs {
		p, err := localPlace(addr)
		if err != nil {
			return nil, "", err
		}
		if p.network == "tcp" && base == "" {
			base = "http://" + p.addr
		}
		places = append(places, p)
	}
	if base == "" {
		base = "http://localhost"
	}
	t := &http.Transport{
		DialContext: dialFirst(places), DisableCompression: true, MaxIdleConnsPerHost: 64, ExpectContinueTimeout: time.Second,
	}
	return &http.Client{Transport: t, CheckRedirect: noRedirect, Timeout: localTimeout}, base, nil
}

// place is where a service of this machine listens.
type place struct{ network, addr string }

// localPlace wants a loopback address: the key goes there in the clear.
func localPlace(addr string) (place, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return place{"unix", strings.TrimPrefix(path, "//")}, nil
	}
	const hint = "such as http://127.0.0.1:8484"
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return place{}, configError(hint, "the address is not http://HOST:PORT or unix:/path")
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "80"
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || ip != netip.AddrFrom4([4]byte{127, 0, 0, 1}) && ip != netip.IPv6Loopback()) {
		return place{}, configError(hint, "host %q of the address is not 127.0.0.1, [::1] or localhost, and there is no TLS", host)
	}
	return place{"tcp", net.JoinHostPort(host, port)}, nil
}

// dialFirst tries the places in turn.
func dialFirst(places []place) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		err := errors.New("no address is given")
		for _, p := range places {
			var c net.Conn
			if c, err = d.DialContext(ctx, p.network, p.addr); err == nil {
				return c, nil
			}
		}
		return nil, err
	}
}
