//go:build unix

package systemd

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/systemd/systemdtest"
)

// loopback is the check that tokend uses.
func loopback(addr string) error {
	_, _, err := config.Loopback(addr)
	return err
}

func TestListeners_Refused(t *testing.T) {
	connected := func(t *testing.T) any {
		c, err := net.Dial("tcp", systemdtest.Listen(t, "tcp", "127.0.0.1:0").Addr().String())
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
	listen := func(network, addr string) func(*testing.T) any {
		return func(t *testing.T) any { return systemdtest.Listen(t, network, addr) }
	}
	unix := func(dir, socket os.FileMode) func(*testing.T) any {
		return func(t *testing.T) any { return systemdtest.ListenUnix(t, dir, socket) }
	}
	for name, tt := range map[string]struct {
		socket func(t *testing.T) any
		want   string
		hint   string
	}{
		"every address":       {listen("tcp4", "0.0.0.0:0"), "reachable from other machines", "ListenStream=127.0.0.1:8484 and ListenStream=[::1]:8484"},
		"every IPv6 address":  {listen("tcp", ":0"), "reachable from other machines", "ListenStream=127.0.0.1:8484 and ListenStream=[::1]:8484"},
		"other loopback":      {listen("tcp4", "127.0.0.2:0"), "is not 127.0.0.1", "ListenStream=127.0.0.1:8484 and ListenStream=[::1]:8484"},
		"a connection":        {connected, "not a listening stream socket", "ListenStream= and Accept=no"},
		"a datagram socket":   {packet, "not a listening stream socket", "ListenStream= and Accept=no"},
		"a socket for all":    {unix(0o700, 0o666), "is open to others (mode 0666)", "SocketMode=0600"},
		"a socket of a group": {unix(0o700, 0o660), "is open to others (mode 0660)", "SocketMode=0600"},
		"a directory for all": {unix(0o777, 0o600), "others can write to", "DirectoryMode=0755, or 0700 for a user's service"},
	} {
		t.Run(name, func(t *testing.T) {
			ls, err := Listeners(systemdtest.Passed(t, tt.socket(t), systemdtest.Listen(t, "tcp", "127.0.0.1:0"))(), loopback)
			if err == nil || !strings.HasPrefix(err.Error(), "socket \"") || !strings.Contains(err.Error(), tt.want) || hint.Of(err) != tt.hint {
				t.Errorf("%v, hint %q", err, hint.Of(err))
			}
			if len(ls) != 1 {
				t.Fatalf("%d listeners, want the other one", len(ls))
			}
			_ = ls[0].Close()
		})
	}
}

func TestListeners_TCPFirst(t *testing.T) {
	ls, err := Listeners(systemdtest.Passed(t, systemdtest.ListenUnix(t, 0o755, 0o600), systemdtest.Listen(t, "tcp", "127.0.0.1:0"))(), loopback)
	if err != nil || len(ls) != 2 || ls[0].Addr().Network() != "tcp" || ls[1].Addr().Network() != "unix" {
		t.Errorf("%v, %v", ls, err)
	}
	for _, l := range ls {
		_ = l.Close()
	}
}

func TestSocketOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	l := systemdtest.ListenUnix(t, 0o755, 0o600)
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
