//go:build !linux

package service

import "net"

// listenerUsers returns nothing: only Linux reports the owner of a socket.
func listenerUsers(net.Conn) (users []int, known bool, err error) { return nil, false, nil }
