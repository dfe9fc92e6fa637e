// Package systemd is the service's side of a service manager: it takes the sockets of a
// socket unit (sd_listen_fds(3)) and reports how the service is (sd_notify(3)).
package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/coreos/go-systemd/v22/activation"

	"example.com/tokend/internal/hint"
)

// Sockets returns the sockets that were passed to this process (sd_listen_fds(3)). Only
// the first call has any: other programs that this one starts must not use them.
func Sockets() []*os.File { return activation.Files(true) }

// Listeners returns listeners for passed sockets, TCP first, and closes the files. A
// unix socket must be one that only this user can use; loopback checks the address of a
// TCP socket. With an error the listeners are those that are open.
func Listeners(files []*os.File, loopback func(addr string) error) ([]net.Listener, error) {
	var ls []net.Listener
	var faults []error
	for _, f := range files {
		l, err := listener(f, loopback)
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %q of the unit: %w", f.Name(), err))
			continue
		}
		ls = append(ls, l)
	}
	slices.SortStableFunc(ls, func(a, b net.Listener) int { return rank(a) - rank(b) })
	return ls, errors.Join(faults...)
}

// rank puts TCP first.
func rank(l net.Listener) int {
	if _, tcp := l.Addr().(*net.TCPAddr); tcp {
		return 0
	}
	return 1
}

// listener checks a passed socket as strictly as tokend creates its own ones.
func listener(f *os.File, loopback func(addr string) error) (net.Listener, error) {
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
		if err = loopback(a.String()); err != nil {
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
