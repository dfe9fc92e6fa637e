package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// squatter answers every request in place of tokend, and counts the requests.
func squatter(t *testing.T, l net.Listener) *atomic.Int32 {
	t.Helper()
	var asked atomic.Int32
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // a test's
		asked.Add(1)
		_, _ = w.Write([]byte(`{"status":"ok","access_token":"forged","token_type":"Bearer","expires_in":3600,"expires_at":"2035-01-01T00:00:00Z","min_validity_satisfied":true}`))
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return &asked
}

// listenAs listens as another user, which root can do with the thread's file system user,
// the owner of its sockets (credentials(7)).
func listenAs(t *testing.T, uid int) net.Listener {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Setfsuid(uid) // its result says nothing: the test would find the wrong user
	l, err := net.Listen("tcp", "127.0.0.1:0")
	_ = unix.Setfsuid(os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// If another user listens on the default port, they get no key and supply no token.
func TestX30_ListenerOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be another user")
	}
	home := clean(t)
	newTenant(t).configure(t)
	write(t, filepath.Join(home, ".local/state/tokend/api.key"), canaryKey, 0o600)
	l := listenAs(t, 65534)
	asked := squatter(t, l)
	setenv(t, "TOKEND_LISTEN="+l.Addr().String(), "CI=true")
	for _, args := range []string{"token demo --format exec-credential", "status", "login demo", "refresh demo", "proxy demo", "token --format external demo", "healthcheck"} {
		o := runTokend(t, strings.Fields(args)...)
		if o.code != 69 || !strings.Contains(o.stderr, "the listener belongs to another user: user 65534 listens at "+l.Addr().String()) ||
			!strings.Contains(o.stderr, " to use that one") || o.stdout != "" {
			t.Errorf("%s: %+v", args, o)
		}
	}
	if o := runTokend(t, "doctor", "--offline"); !strings.Contains(o.stdout, "what listens at "+l.Addr().String()+" belongs to another user, and is not sent the key") {
		t.Errorf("doctor: %+v", o)
	}
	if o := runTokend(t, "exec", "demo", "--", "/bin/sh", "-c", "echo $DEMO_ACCESS_TOKEN"); o.code != 77 || !strings.Contains(o.stderr, "there is no grant") {
		t.Errorf("exec keeps the client itself: %+v", o)
	}
	for _, args := range []string{"token demo", "inspect demo"} {
		if o := runTokend(t, strings.Fields(args)...); o.code != 77 || o.stdout != "" || !strings.Contains(o.stderr, "there is no grant") {
			t.Errorf("%s keeps the client itself, as exec does: %+v", args, o)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Fatalf("the other user was asked %d times", n)
	}
	setenv(t, "TOKEND_ADDR=http://"+l.Addr().String())
	if o := runTokend(t, "token", "demo"); o.code != 0 || asked.Load() == 0 {
		t.Errorf("one that was named is taken: %+v", o)
	}
}
