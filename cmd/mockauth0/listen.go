package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
)

// opened are the listeners to close at the end.
type opened []net.Listener

func (o *opened) close() {
	for _, l := range *o {
		_ = l.Close()
	}
}

// listen opens an address. For 127.0.0.1 it also tries the same port on ::1, because
// "localhost" can mean both.
func (o *opened) listen(ctx context.Context, addr, setting string) ([]net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &exitError{exitUnavailable, fmt.Errorf("%s is in use by another process\nhint: stop that process, or set %s to another address", addr, setting)}
	case err != nil:
		return nil, configError("cannot listen on %s: %v\nhint: set %s to another address", addr, err, setting)
	}
	out := []net.Listener{l}
	host, _, _ := net.SplitHostPort(addr)
	if host == "127.0.0.1" || host == "localhost" {
		port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		if l6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", port)); err == nil {
			out = append(out, l6)
		}
	}
	*o = append(*o, out...)
	return slices.Clone(out), nil
}
