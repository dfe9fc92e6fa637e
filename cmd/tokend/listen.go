package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/systemd"
)

// listeners returns the listeners of the service: the local ones, then the one for
// other machines. With an error it returns those that are open.
func (p *program) listeners(ctx context.Context, s settings, log *slog.Logger) ([]net.Listener, error) {
	ls, err := p.localListeners(ctx, s)
	if err != nil || s.TLS.Listen == "" {
		return ls, err
	}
	l, err := listenTLS(ctx, s.TLS, log)
	if err != nil {
		return ls, err
	}
	return append(ls, l), nil
}

// localListeners returns the sockets that a service manager passes, or without any, those
// of the settings. Passed sockets replace listen and socket, because their unit says
// where the service listens. With an error it returns the sockets that are open.
func (p *program) localListeners(ctx context.Context, s settings) ([]net.Listener, error) {
	passed := p.passed
	if passed == nil {
		passed = systemd.Sockets
	}
	files := passed()
	if len(files) == 0 {
		return s.open(ctx)
	}
	ls, err := systemd.Listeners(files, func(addr string) error {
		_, _, err := config.Loopback(addr)
		return err
	})
	return ls, exitWith(exitConfig, err)
}

// open opens the listeners, TCP first. With an error it returns those that are open.
func (s settings) open(ctx context.Context) ([]net.Listener, error) {
	var ls []net.Listener
	if s.Listen != config.Off {
		tcp, err := listenTCP(ctx, "TOKEND_LISTEN", s.Listen)
		if err != nil {
			return nil, err
		}
		ls = tcp
	}
	if s.Socket != config.Off {
		l, err := listenSocket(ctx, "TOKEND_SOCKET", s.Socket, s.Shared())
		if err != nil {
			return ls, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// listenTCP listens on a loopback address, which comes from setting. For 127.0.0.1 it
// also listens on the same port of ::1 if the machine has IPv6: "localhost" may be
// either.
func listenTCP(ctx context.Context, setting, addr string) ([]net.Listener, error) {
	host, port, err := config.Loopback(addr)
	if err != nil {
		return nil, hintf(exitConfig, "127.0.0.1:0 is any free port of this machine", "%s: %w", setting, err)
	}
	for attempt := 0; ; attempt++ {
		ls, err := listenBoth(ctx, host, port)
		// A free port of 127.0.0.1 that the system chose may be taken on ::1.
		if errors.Is(err, syscall.EADDRINUSE) && port == 0 && attempt < 8 {
			continue
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, hintf(exitUnavailable, fmt.Sprintf("stop the program that uses it (is tokend already running?) or set %s=%s", setting, net.JoinHostPort(host, strconv.Itoa(port%65535+1))),
				"port %d is in use on this machine (%s=%s)", port, setting, addr)
		}
		return ls, exitWith(exitUnavailable, err)
	}
}

func listenBoth(ctx context.Context, host string, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	first, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	if host != "127.0.0.1" {
		return []net.Listener{first}, nil
	}
	second, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(tcpPort(first))))
	switch {
	case err == nil:
		return []net.Listener{first, second}, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.Join(err, first.Close())
	default: // no IPv6 here
		return []net.Listener{first}, nil
	}
}

func tcpPort(l net.Listener) int {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return a.Port
}

// listenSocket listens on a unix socket, whose path comes from setting, with mode 0600 in
// a directory that only this user can open. One that is shared with other users has mode
// 0666 in a directory that only this user can write to; the guard decides who they are.
// It replaces a socket without a listener.
func listenSocket(ctx context.Context, setting, path string, shared bool) (net.Listener, error) {
	dir := filepath.Dir(path)
	dirMode, forbidden, mode := fs.FileMode(0o700), durable.Private, fs.FileMode(0o600)
	if shared {
		dirMode, forbidden, mode = 0o711, durable.Written, 0o666
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, hintf(exitConfig, fmt.Sprintf("set %s to another path", setting), "directory of the socket: %w", err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return nil, exitWith(exitUnavailable, err)
	}
	if err := durable.CheckDir(dir, fi, forbidden, fmt.Sprintf("set %s to a path in a directory of its own", setting)); err != nil {
		return nil, exitWith(exitConfig, fmt.Errorf("the socket's directory %w", err))
	}
	if perm := fi.Mode().Perm(); shared && perm&0o011 == 0 {
		return nil, hintf(exitConfig, fmt.Sprintf("chmod 711 %s, or set %s to a path in another directory", dir, setting),
			"callers has uids or gids, but the socket's directory %s lets no other user in (mode %#o)", dir, perm)
	}
	if err := clearSocket(ctx, setting, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, hintf(exitConfig, fmt.Sprintf("set %s to another path (at most 100 characters)", setting), "socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, exitWith(exitUnavailable, errors.Join(err, l.Close()))
	}
	return l, nil
}

// clearSocket removes the socket of a killed tokend.
func clearSocket(ctx context.Context, setting, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return exitWith(exitUnavailable, err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return hintf(exitConfig, fmt.Sprintf("set %s to another path", setting), "%s exists and is not a socket", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // it only tested for a listener
		return hintf(exitUnavailable, fmt.Sprintf("stop it (is tokend already running?) or set %s to another path", setting),
			"another process answers on %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return hintf(exitUnavailable, fmt.Sprintf("remove %s if no program uses it", path), "socket: %w", err)
	}
	return exitWith(exitUnavailable, os.Remove(path))
}
