//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tokend/internal/systemd/systemdtest"
)

// A socket of the unit that is refused is a config error with its hint;
// internal/systemd tests each reason.
func TestActivationRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		socket func(t *testing.T) any
		want   string
	}{
		"every address":    {func(t *testing.T) any { return systemdtest.Listen(t, "tcp4", "0.0.0.0:0") }, "reachable from other machines"},
		"a socket for all": {func(t *testing.T) any { return systemdtest.ListenUnix(t, 0o700, 0o666) }, "hint: SocketMode=0600"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			newTenant(t).configure(t)
			o := tokendWith(t, program{passed: systemdtest.Passed(t, tt.socket(t), systemdtest.Listen(t, "tcp", "127.0.0.1:0"))}, "serve")
			if o.code != 78 || !strings.Contains(o.stderr, tt.want) || !strings.Contains(o.stderr, "hint: ") || !strings.Contains(o.stderr, "socket \"") {
				t.Errorf("%+v", o)
			}
		})
	}
}

// The service uses only the sockets of the unit, and nothing else closes them.
func TestActivationReplacesListeners(t *testing.T) {
	home := clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials")
	socket, tcp := systemdtest.ListenUnix(t, 0o755, 0o600), systemdtest.Listen(t, "tcp", "127.0.0.1:0")
	s := serveWith(t, program{passed: systemdtest.Passed(t, socket, tcp)})
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
