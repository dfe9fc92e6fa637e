package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/tokend"
)

// defaultUser goes with a token that stands in a password's place. Most hosts
// that take one look at the password alone.
const defaultUser = "oauth2"

// allowed finds host among the entries "[user@]host[:port]" of a client, and
// the user that goes with the token there. Nothing is guessed: no wildcard, no
// subdomain, and a port that is not scheme's default must be listed.
func allowed(entries []string, scheme, host string) (user string, ok bool) {
	for _, e := range entries {
		if !config.ValidHost(e) { // of a service that is none: a line of it would be one of git's protocol
			continue
		}
		user, at, found := strings.Cut(e, "@")
		if !found {
			user, at = defaultUser, e
		}
		if canonical(scheme, at) == canonical(scheme, host) {
			return user, true
		}
	}
	return "", false
}

// canonical is a host as it is compared: small letters, no default port.
func canonical(scheme, host string) string {
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}

// overWire refuses a token that would cross a network in the clear.
func overWire(scheme, host string) error {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	addr, err := netip.ParseAddr(name)
	if scheme == "https" || strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback() {
		return nil
	}
	return hintf(exitNoPerm, "use https", "%s://%s would get the token in the clear", scheme, host)
}

// serverOf splits what Docker calls a server: a host, or a URL of one.
func serverOf(server string) (scheme, host string) {
	if strings.Contains(server, "://") {
		u, err := url.Parse(server)
		if err != nil {
			return "", ""
		}
		return u.Scheme, u.Host
	}
	host, _, _ = strings.Cut(server, "/")
	return "https", host
}

// clientOf is the one client that has host among its hosts, "" when none has,
// and the user that goes with its token.
func clientOf(all []tokend.Status, scheme, host string) (client, user string, err error) {
	for _, c := range all {
		u, ok := allowed(c.Hosts, scheme, host)
		switch {
		case !ok:
		case client != "":
			return "", "", hintf(exitConfig, "leave it to one of them", "clients %s and %s both have host %s", client, c.Client, host)
		default:
			client, user = c.Client, u
		}
	}
	return client, user, nil
}

// permitted checks that a client's token may go to host.
func (s service) permitted(ctx context.Context, name, scheme, host string) (user string, err error) {
	if err := overWire(scheme, host); err != nil {
		return "", err
	}
	c, err := s.status(ctx, name)
	if err != nil {
		return "", err
	}
	if len(c.Hosts) == 0 {
		return "", hintf(exitConfig, fmt.Sprintf("set hosts: [%s] for it, or TOKEND_CLIENT_%s_HOSTS", host, config.VariableOf(name)),
			"client %s names no host that may have its token", name)
	}
	user, ok := allowed(c.Hosts, scheme, host)
	if !ok {
		return "", hintf(exitNoPerm, "add it to its hosts, if it may have the token",
			"host %s is not among the hosts of client %s", host, name)
	}
	return user, nil
}
