package guard

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// X09: only this user can use the socket, with any mode.
func TestOwnPeers_OtherUser_IsClosed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be another user")
	}
	l := socket(t)
	for dir := l.Addr().String(); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil { // the mode admits every user; the peer check must not
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	own := OwnPeers(l, slog.New(slog.NewTextHandler(&log, nil)))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := own.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	type result struct {
		n   int
		err error
	}
	got := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its other user
		n, err := talkAs(65534, l.Addr().String(), "GET /v1/clients HTTP/1.1\r\nHost: localhost\r\n\r\n")
		got <- result{n, err}
	}()
	r := <-got
	if r.n > 0 {
		t.Errorf("another user read %d bytes", r.n)
	}
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("this user read %q, %v", b, err)
	}
	_ = errors.Join(c.Close(), l.Close())
	<-ended
	for _, want := range []string{"uid=65534", "reason=", "hint="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s (%v):\n%s", want, r.err, &log)
		}
	}
}

// talkAs connects as another user, which holds for the calling thread alone,
// and returns how much it could read.
func talkAs(uid uintptr, path, request string) (int, error) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uid, ^uintptr(0)); errno != 0 {
		return 0, errno
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return 0, err
	}
	_ = syscall.Sendto(fd, []byte(request), syscall.MSG_NOSIGNAL, nil) // it may be closed already
	n, err := syscall.Read(fd, make([]byte, 4096))
	return max(n, 0), err
}

// Users and groups of the configuration are admitted, and are callers with their own
// rights; others are not.
func TestPeers_OtherUsers(t *testing.T) {
	own := os.Geteuid()
	g, err := New(Config{Keys: []Key{
		{Name: "deploy", UIDs: []int{own + 1}, Clients: []string{"demo"}, ReadOnly: true},
		{Name: "team", GIDs: []int{4711}, Clients: []string{"demo"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	socket := &net.UnixAddr{Name: "/s", Net: "unix"}
	for name, c := range map[string]struct {
		peer         Peer
		known        bool
		need         Access
		caller, code string
	}{
		"this user":             {Peer{UID: own, GID: 1, PID: 1}, true, Manages, "socket", ""},
		"its group is no other": {Peer{UID: own, GID: 4711, PID: 1}, true, Manages, "socket", ""},
		"a user":                {Peer{UID: own + 1, GID: 1, PID: 1}, true, NeedsKey, "deploy", ""},
		"a user, not to manage": {Peer{UID: own + 1, GID: 4711, PID: 1}, true, Manages, "deploy", "manage_forbidden"},
		"a group":               {Peer{UID: own + 2, GID: 4711, PID: 1}, true, Manages, "team", ""},
		"another":               {Peer{UID: own + 2, GID: 1, PID: 1}, false, NeedsKey, "", "unauthorized"},
		"unknown":               {Peer{-1, -1, -1}, false, NeedsKey, "", "unauthorized"},
	} {
		r := request(t, get(tokenPath, "localhost", ""), socket)
		r = r.WithContext(ConnContext(r.Context(), &peerConn{nil, c.peer}))
		caller, f := g.Admit(r, c.need, "demo")
		if g.Knows(c.peer) != c.known || caller.Name != c.caller || codeOf(f) != c.code {
			t.Errorf("%s: %q, %+v", name, caller.Name, f)
		}
	}
	if _, err := New(Config{Keys: []Key{{Name: "a", UIDs: []int{1}}, {Name: "b", UIDs: []int{1}}}}); err == nil {
		t.Error("one user is two callers")
	}
}

// The kernel says who connects, and the listener asks which of them are admitted.
func TestPeers_AdmittedUser_IsServed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be another user")
	}
	l := socket(t)
	for dir := l.Addr().String(); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	peers := make(chan Peer, 2)
	other := Peers(l, func(p Peer) bool { peers <- p; return p.UID == 65534 }, slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := other.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "hello")
		_ = c.Close()
	}()
	got := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its other user
		n, _ := talkAs(65534, l.Addr().String(), "GET / HTTP/1.1\r\n\r\n")
		got <- n
	}()
	if n := <-got; n != len("hello") {
		t.Errorf("an admitted user read %d bytes", n)
	}
	if p := <-peers; p.UID != 65534 || p.PID <= 0 {
		t.Errorf("%+v", p)
	}
	_ = l.Close()
	<-ended
}
