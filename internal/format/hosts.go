package format

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"example.com/tokend/pkg/tokend"
)

// defaultUser is the user name for a token that is used as a password. Most hosts check
// only the password.
const defaultUser = "oauth2"

// choose returns the user name for the token at host. If r names no client, it sets
// r.Client to the client that lists host, "" when none does. A named client must list
// the host.
func choose(ctx context.Context, s Source, r *Request, scheme, host string) (user string, err error) {
	if r.Client != "" {
		return permitted(ctx, s, r.Client, scheme, host)
	}
	all, err := s.Clients(ctx)
	if err != nil {
		return "", err
	}
	if r.Client, user, err = clientOf(all, scheme, host); err != nil || r.Client == "" {
		return "", err
	}
	return user, overWire(scheme, host)
}

// permitted checks that a client's token may go to host.
func permitted(ctx context.Context, s Source, name, scheme, host string) (user string, err error) {
	if err := overWire(scheme, host); err != nil {
		return "", err
	}
	c, err := s.Status(ctx, name)
	if err != nil {
		return "", err
	}
	if len(c.Hosts) == 0 {
		variable := "TOKEND_CLIENT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_HOSTS"
		return "", errorf(Configuration, fmt.Sprintf("set hosts: [%s] for it, or %s", host, variable),
			"client %s lists no host that may get its token", name)
	}
	user, ok := allowed(c.Hosts, scheme, host)
	if !ok {
		return "", errorf(Refused, "add it to its hosts, if it may have the token",
			"host %s is not among the hosts of client %s", host, name)
	}
	return user, nil
}

// clientOf returns the one client that lists host, "" when none does, and the user name
// for its token.
func clientOf(all []tokend.Status, scheme, host string) (client, user string, err error) {
	for _, c := range all {
		u, ok := allowed(c.Hosts, scheme, host)
		switch {
		case !ok:
		case client != "":
			return "", "", errorf(Configuration, "remove it from one of them", "clients %s and %s both have host %s", client, c.Client, host)
		default:
			client, user = c.Client, u
		}
	}
	return client, user, nil
}

// allowed finds host among a client's entries "[user@]host[:port]", and returns the user
// name for it. Wildcards and subdomains do not match, and a port that is not the
// scheme's default must be listed.
func allowed(entries []string, scheme, host string) (user string, ok bool) {
	for _, e := range entries {
		user, at := splitEntry(e)
		if validEntry(user, at) && canonical(scheme, at) == canonical(scheme, host) {
			return user, true
		}
	}
	return "", false
}

func splitEntry(entry string) (user, host string) {
	user, host, found := strings.Cut(entry, "@")
	if !found {
		return defaultUser, entry
	}
	return user, host
}

// validEntry checks an entry like the configuration does. An untrusted service may have
// sent it, and a line break in it would add a line to git's protocol.
func validEntry(user, host string) bool {
	if user == "" || strings.ContainsFunc(user, notInUser) {
		return false
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if name, port = host[:i], host[i+1:]; len(port) > 5 || !digits(port) {
			return false
		}
	}
	if inner, found := strings.CutPrefix(name, "["); found {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	const edges = "-."
	return name != "" && strings.Trim(name, edges) == name && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.')
	})
}

func notInUser(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("@/:", r)
}

func digits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil && s[0] != '+'
}

// canonical returns a host for comparison: in lower case, without the default port.
func canonical(scheme, host string) string {
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}

// overWire refuses to send a token unencrypted over a network.
func overWire(scheme, host string) error {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	addr, err := netip.ParseAddr(name)
	if scheme == "https" || strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback() {
		return nil
	}
	return errorf(Refused, "use https", "%s://%s would get the token in the clear", scheme, host)
}
