package main

import (
	"context"
	"fmt"
	"net"
)

// healthcheck asks a running tenant whether it is healthy, for images without curl.
func (p *program) healthcheck(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	if _, err := get(ctx, issuerOf("http", s.Listen, mustAddr(s.Listen))+"_mock/health"); err != nil {
		return &exitError{exitUnavailable, fmt.Errorf("cannot reach the tenant at %s: %w\nhint: start it: mockauth0 serve", s.Listen, err)}
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

func mustAddr(hostport string) net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", hostport)
	if err != nil {
		return &net.TCPAddr{}
	}
	return addr
}
