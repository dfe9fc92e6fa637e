package config

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
)

// Off is the setting of a listener that is not wanted.
const Off = "off"

// Loopback splits a TCP address and reports whether only this machine reaches it:
// a literal loopback address, or localhost, which means 127.0.0.1 and ::1.
func Loopback(addr string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("address %q is not host:port", addr)
	}
	port, err = strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %q has no port from 0 to 65535", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("address %q is reachable from other machines, without TLS", addr)
	}
	if host != "127.0.0.1" && host != "::1" {
		return "", 0, fmt.Errorf("address %q is not 127.0.0.1, [::1] or localhost", addr)
	}
	return host, port, nil
}

// hostEntry is an entry of a client's hosts: where its token may go. It is compiled
// when first used, like all patterns of the programs, because each start would pay.
var hostEntry = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([^@\s/:]+@)?([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
})

// ValidHost reports whether s may be one of a client's hosts: [user@]host[:port].
func ValidHost(s string) bool { return hostEntry().MatchString(s) }
