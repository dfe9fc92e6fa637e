package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// squatter answers everything in tokend's place, and counts what it was sent.
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

// listenAs listens as another user, which root can: by the thread's user for
// files, which a socket belongs to (credentials(7)).
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

// Another user has the default port: he gets no key, and gives no token.
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
	for _, args := range []string{"token demo", "status", "login demo", "refresh demo", "proxy demo", "token demo --format header", "healthcheck"} {
		o := tokend(t, strings.Fields(args)...)
		if o.code != 69 || !strings.Contains(o.stderr, "it is another user's: user 65534 listens at "+l.Addr().String()) ||
			!strings.Contains(o.stderr, " if that one is meant") || o.stdout != "" {
			t.Errorf("%s: %+v", args, o)
		}
	}
	if o := tokend(t, "doctor", "--offline"); !strings.Contains(o.stdout, "what listens at "+l.Addr().String()+" is another user's") {
		t.Errorf("doctor: %+v", o)
	}
	if o := tokend(t, "exec", "demo", "--", "/bin/sh", "-c", "echo $DEMO_ACCESS_TOKEN"); o.code != 77 || !strings.Contains(o.stderr, "there is no grant") {
		t.Errorf("exec keeps the client itself: %+v", o)
	}
	if n := asked.Load(); n != 0 {
		t.Fatalf("the other user was asked %d times", n)
	}
	setenv(t, "TOKEND_ADDR=http://"+l.Addr().String())
	if o := tokend(t, "token", "demo"); o.code != 0 || asked.Load() == 0 {
		t.Errorf("one that was named is taken: %+v", o)
	}
}

// Whatever user runs this, a listener is told from that of another user.
func TestListenerUsers(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	squatter(t, tcp)
	any6, err := net.Listen("tcp", "[::]:0") // 127.0.0.1, too
	if err != nil {
		any6 = nil // no IPv6
	}
	file, err := net.Listen("unix", filepath.Join(clean(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	squatter(t, file)
	places := map[string]string{tcp.Addr().String(): "tcp", file.Addr().String(): "unix"}
	if any6 != nil {
		squatter(t, any6)
		_, port, _ := net.SplitHostPort(any6.Addr().String())
		places["127.0.0.1:"+port] = "tcp"
	}
	for addr, network := range places {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		users, known, err := listenerUsers(c)
		if err != nil || !known || len(users) == 0 {
			t.Errorf("%s: %v, %v, %v", addr, users, known, err)
		}
		for _, u := range users {
			if u != os.Geteuid() && u != 0 { // 0 before it is accepted
				t.Errorf("%s: user %d", addr, u)
			}
		}
		_ = c.Close()
	}
}

const socketTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2124 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1 0 100 0 0 10 0
   1: 00000000:2124 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 1 1 0 100 0 0 10 0
   2: 0200007F:2124 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1003        0 1 1 0 100 0 0 10 0
   3: 0100007F:2125 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1004        0 1 1 0 100 0 0 10 0
   4: 0100007F:2124 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1005        0 1 1 0 100 0 0 10 0
   5: 0100007F:2124 0100007F:9C41 01 00000000:00000000 00:00000000 00000000  1006        0 1 1 0 100 0 0 10 0
   6: 0100007F:9C40 0100007F:2124 01 00000000:00000000 00:00000000 00000000  1007        0 1 1 0 100 0 0 10 0
   7: 0100007F:2124 0100007F:9C40 06 00000000:00000000 00:00000000 00000000  1008        0 1 1 0 100 0 0 10 0
   8: 0000000000000000FFFF00000100007F:2124 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1009        0 1
`

func TestUsersIn(t *testing.T) {
	here, there := netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:8484")
	users, listens, err := usersIn(strings.NewReader(socketTable), here, there)
	if err != nil || !listens || len(users) != 4 || users[0] != 1001 || users[1] != 1002 || users[2] != 1005 || users[3] != 1009 {
		t.Errorf("%v, %v, %v", users, listens, err)
	}
	if users, listens, err = usersIn(strings.NewReader(socketTable), here, netip.MustParseAddrPort("[::1]:8484")); err != nil || !listens || len(users) != 1 || users[0] != 1002 {
		t.Errorf("on ::1: %v, %v, %v", users, listens, err)
	}
	if _, _, err = usersIn(strings.NewReader(strings.ReplaceAll(socketTable, " 1001 ", " root ")), here, there); err == nil {
		t.Error("a user that is no number is passed over")
	}
}

// Whose a listener was that has gone meanwhile, cannot be told: nothing is sent.
func TestOwnListenerThatHasGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	_ = l.Close()
	if users, known, err := listenerUsers(c); err != nil || !known || users != nil {
		t.Errorf("%v, %v, %v", users, known, err)
	}
	pipe, other := net.Pipe()
	defer func() { _ = other.Close() }()
	for name, conn := range map[string]net.Conn{"gone": c, "no address": pipe} {
		via := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		ownListener(via, os.Geteuid())
		if got, err := via.DialContext(t.Context(), "tcp", "x"); got != nil || err == nil || !strings.Contains(err.Error(), "cannot be told") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
