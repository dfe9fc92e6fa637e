//go:build unix

// Package systemdtest plays systemd in tests: it passes sockets and receives
// notifications.
package systemdtest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Manager is the service manager's end of NOTIFY_SOCKET.
type Manager struct{ *net.UnixConn }

// NewManager sets NOTIFY_SOCKET for the test.
func NewManager(t *testing.T) Manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return Manager{c}
}

// Until returns the first message that holds all of the texts.
func (m Manager) Until(t *testing.T, texts ...string) string {
	t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf, seen := make([]byte, 4096), []string{}
next:
	for {
		n, err := m.Read(buf)
		if err != nil {
			t.Fatalf("%q did not come, but: %q", texts, seen)
		}
		msg := string(buf[:n])
		seen = append(seen, msg)
		for _, text := range texts {
			if !strings.Contains(msg, text) {
				continue next
			}
		}
		return msg
	}
}

// Passed returns files of sockets as systemd passes them.
func Passed(t *testing.T, sockets ...any) func() []*os.File {
	t.Helper()
	var files []*os.File
	for _, s := range sockets {
		f, err := s.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() }) // closed already when it was taken
		files = append(files, f)
	}
	return func() []*os.File { return files }
}

// Listen listens until the test ends.
func Listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenUnix listens on a socket with a mode, in a directory with a mode.
func ListenUnix(t *testing.T, dir, socket os.FileMode) net.Listener {
	t.Helper()
	parent, err := os.MkdirTemp("", "unit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	path := filepath.Join(parent, "d", "s")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l := Listen(t, "unix", path)
	for p, perm := range map[string]os.FileMode{path: socket, filepath.Dir(path): dir} {
		if err := os.Chmod(p, perm); err != nil {
			t.Fatal(err)
		}
	}
	return l
}
