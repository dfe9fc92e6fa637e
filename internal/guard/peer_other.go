//go:build !linux && !darwin

package guard

import (
	"errors"
	"net"
)

// peerUID fails on this system, so the socket refuses every connection.
func peerUID(*net.UnixConn) (int, error) {
	return -1, errors.New("not supported on this system")
}
