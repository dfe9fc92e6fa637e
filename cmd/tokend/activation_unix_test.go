//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/internal/hint"
)

// passes makes the sockets' files in the way of systemd.
func passes(t *testing.T, sockets ...any) func() []*os.File {
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

func listenTest(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// unixAt makes a socket with a mode, in a directory with a mode.
func unixAt(t *testing.T, dir, socket os.FileMode) net.Listener {
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
	l := listenTest(t, "unix", path)
	for p, perm := range map[string]os.FileMode{path: socket, filepath.Dir(path): dir} {
		if err := os.Chmod(p, perm); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestActivationRefuses(t *testing.T) {
	connected := func(t *testing.T) any {
		c, err := net.Dial("tcp", listenTest(t, "tcp", "127.0.0.1:0").Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	packet := func(t *testing.T) any {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	tests := map[string]struct {
		socket func(t *testing.T) any
		want   string
	}{
		"every address":       {func(t *testing.T) any { return listenTest(t, "tcp4", "0.0.0.0:0") }, "reachable from other machines"},
		"every IPv6 address":  {func(t *testing.T) any { return listenTest(t, "tcp", ":0") }, "reachable from other machines"},
		"other loopback":      {func(t *testing.T) any { return listenTest(t, "tcp4", "127.0.0.2:0") }, "is not 127.0.0.1"},
		"a connection":        {connected, "hint: ListenStream= and Accept=no"},
		"a datagram socket":   {packet, "hint: ListenStream= and Accept=no"},
		"a socket for all":    {func(t *testing.T) any { return unixAt(t, 0o700, 0o666) }, "hint: SocketMode=0600"},
		"a socket of a group": {func(t *testing.T) any { return unixAt(t, 0o700, 0o660) }, "hint: SocketMode=0600"},
		"a directory for all": {func(t *testing.T) any { return unixAt(t, 0o777, 0o600) }, "hint: DirectoryMode=0755"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clean(t)
			newTenant(t).configure(t)
			o := tokendWith(t, program{passed: passes(t, tt.socket(t), listenTest(t, "tcp", "127.0.0.1:0"))}, "serve")
			if o.code != 78 || !strings.Contains(o.stderr, tt.want) || !strings.Contains(o.stderr, "hint: ") || !strings.Contains(o.stderr, "socket \"") {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestSocketOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	l := unixAt(t, 0o755, 0o600)
	if err := os.Chown(l.Addr().String(), 65532, -1); err != nil {
		t.Fatal(err)
	}
	if err := ownSocket(l.Addr().String()); err == nil || !strings.Contains(hint.Of(err), "SocketUser=") {
		t.Errorf("ownSocket = %v", err)
	}
	if err := ownSocket("@abstract"); err == nil || !strings.Contains(err.Error(), "has no mode") {
		t.Errorf("ownSocket = %v", err)
	}
}

// The service uses only the sockets of the unit, and nothing else closes them.
func TestActivationReplacesListeners(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	socket, tcp := unixAt(t, 0o755, 0o600), listenTest(t, "tcp", "127.0.0.1:0")
	s := serveWith(t, program{passed: passes(t, socket, tcp)})
	if s.tcp != tcp.Addr().String() {
		t.Errorf("the first listener is %s, not the passed %s", s.tcp, tcp.Addr())
	}
	setenv(t, "TOKEND_ADDR=unix:"+socket.Addr().String())
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("over the socket: %+v", o)
	}
	setenv(t, "TOKEND_ADDR=http://"+s.tcp)
	if o := runTokend(t, "token", "demo"); o.code != 0 || o.stdout != canaryToken+"\n" {
		t.Errorf("over TCP: %+v", o)
	}
	if _, err := os.Stat(filepath.Join(home, ".local/state/tokend/tokend.sock")); err == nil {
		t.Error("the default socket was made in addition to the passed ones")
	}
	s.stop()
	if _, err := os.Stat(socket.Addr().String()); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
}

// Descriptors for another process are ignored.
func TestActivationOfAnotherProcess(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	setenv(t, "LISTEN_FDS=1", "LISTEN_PID=1")
	s := serve(t)
	if o := runTokend(t, "healthcheck"); o.code != 0 {
		t.Errorf("%+v\n%s", o, s.log)
	}
}

func TestAcceptsClosed(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer func() { _, _ = r.Close(), w.Close() }()
	if accepts(r) {
		t.Error("a pipe listens")
	}
}
