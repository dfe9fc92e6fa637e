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
	"slices"

	"github.com/coreos/go-systemd/v22/activation"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/hint"
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

// localListeners returns the sockets that a service manager passes (sd_listen_fds(3)),
// or without any, those of the settings. Passed sockets replace listen and socket,
// because their unit says where the service listens. With an error it returns the
// sockets that are open.
func (p *program) localListeners(ctx context.Context, s settings) ([]net.Listener, error) {
	passed := p.passed
	if passed == nil {
		passed = func() []*os.File { return activation.Files(true) }
	}
	files := passed()
	if len(files) == 0 {
		return s.open(ctx)
	}
	var ls []net.Listener
	var faults []error
	for _, f := range files {
		l, err := activated(f)
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %q of the unit: %w", f.Name(), err))
			continue
		}
		ls = append(ls, l)
	}
	slices.SortStableFunc(ls, func(a, b net.Listener) int { return rank(a) - rank(b) })
	return ls, exitWith(exitConfig, errors.Join(faults...))
}

// rank puts TCP first, as settings.open does.
func rank(l net.Listener) int {
	if tcpPort(l) != 0 {
		return 0
	}
	return 1
}

// activated takes a passed socket and checks it like tokend's own ones: TCP on
// loopback, or a unix socket that only this user can use.
func activated(f *os.File) (net.Listener, error) {
	defer func() { _ = f.Close() }() // the listener has a duplicate
	if !accepts(f) {
		return nil, hint.Errorf("ListenStream= and Accept=no", "not a listening stream socket")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, hint.Errorf("ListenStream=127.0.0.1:8484 or a path", "%w", err)
	}
	switch a := l.Addr().(type) {
	case *net.TCPAddr:
		_, _, err = config.Loopback(a.String())
		if err != nil {
			err = hint.Errorf("ListenStream=127.0.0.1:8484 and ListenStream=[::1]:8484", "%w", err)
		}
	case *net.UnixAddr:
		err = ownSocket(a.Name)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// ownSocket checks that only the users that pass the peer check can connect to a passed
// socket's file, and that no other user can replace it.
func ownSocket(path string) error {
	if !filepath.IsAbs(path) {
		return hint.Errorf("ListenStream=/run/tokend/tokend.sock", "an abstract socket has no mode")
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if perm := fi.Mode().Perm(); perm&0o022 != 0 { // write permission lets connect (unix(7))
		return hint.Errorf("SocketMode=0600", "%s is open to others (mode %#o)", path, perm)
	}
	if uid, known := owner(fi); known && uid != os.Geteuid() {
		return hint.Errorf("SocketUser= as the service's User=", "%s belongs to user %d, but tokend runs as user %d and accepts only callers of that user", path, uid, os.Geteuid())
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if perm := dir.Mode().Perm(); perm&0o022 != 0 && dir.Mode()&fs.ModeSticky == 0 {
		return hint.Errorf("DirectoryMode=0755, or 0700 for a user's service", "others can write to %s (mode %#o)", filepath.Dir(path), perm)
	}
	return nil
}
