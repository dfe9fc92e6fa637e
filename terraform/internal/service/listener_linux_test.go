package service

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// foreign is a listener of another user than uid: root can make one, by the
// thread's user for files, which a socket belongs to (credentials(7)). For others
// it is their own, and uid is somebody else's.
func foreign(t *testing.T) (l net.Listener, uid int) {
	t.Helper()
	uid = os.Geteuid()
	if uid == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = syscall.Setfsuid(65534) // its result says nothing: the test would find the wrong user
		defer func() { _ = syscall.Setfsuid(0) }()
	} else {
		uid++
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, uid
}

// TestListenerOfAnotherUser: he is shown no key, where he was not named.
func TestListenerOfAnotherUser(t *testing.T) {
	l, uid := foreign(t)
	var asked atomic.Int32
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(good))
	})}}
	s.Start()
	defer s.Close()
	listen, nobody := l.Addr().String(), filepath.Join(t.TempDir(), "s")
	for name, dial := range map[string]dialer{"listener": dialTCP(listen), "either": dialEither(nobody, listen)} {
		srv := &Service{base: "http://" + listen, key: "the-key", http: newHTTP(own(uid, dial)), wait: pause}
		_, err := srv.Token(t.Context(), Request{Client: "demo"})
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "it is another user's: user ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		for _, socket := range []string{"off", nobody} {
			found, err := Find(Options{APIKey: "the-key", Getenv: vars{"TOKEND_LISTEN": listen, "TOKEND_SOCKET": socket}.get})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = found.Token(t.Context(), Request{Client: "demo"}); !errors.Is(err, ErrUnreachable) {
				t.Errorf("socket %s: %v", socket, err)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other user was asked %d times", n)
	}
	named, err := Find(Options{Endpoint: "http://" + listen, APIKey: "the-key", Getenv: vars{}.get})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := named.Token(t.Context(), Request{Client: "demo"}); err != nil {
		t.Errorf("one that was named: %v", err)
	}
}

// TestListenerOfNobody: whose it is must be known.
func TestListenerOfNobody(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	pipe := func(context.Context, string, string) (net.Conn, error) { return here, nil }
	if runtime.GOOS != "linux" {
		t.Skip("listeners are looked at on Linux alone")
	}
	if c, err := own(os.Geteuid(), pipe)(t.Context(), "tcp", "x"); err == nil || c != nil || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("%v, %v", c, err)
	}
}
