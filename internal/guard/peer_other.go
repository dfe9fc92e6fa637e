//go:build !linux && !darwin

package guard

import (
	"errors"
	"net"
)

// peerOf fails on this system, so the socket refuses every connection.
func peerOf(*net.UnixConn) (Peer, error) {
	return Peer{-1, -1, -1}, errors.New("not supported on this system")
}
