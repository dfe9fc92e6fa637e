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

// foreign returns a listener of a user other than uid. Root can make one with the thread's
// file system user, the owner of its sockets (credentials(7)). Other users return a
// listener of their own and a different uid.
func foreign(t *testing.T) (l net.Listener, uid int) {
	t.Helper()
	uid = os.Geteuid()
	if uid == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = syscall.Setfsuid(65534) // without a result: the test would find the wrong user
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

// TestListenerOfAnotherUser: another user's listener at a default address gets no key.
func TestListenerOfAnotherUser(t *testing.T) {
	l, uid := foreign(t)
	var asked atomic.Int32
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(good))
	})}}
	s.Start()
	defer s.Close()
	listen, missing := l.Addr().String(), filepath.Join(t.TempDir(), "s")
	for name, dial := range map[string]dialer{"listener": dialTCP(listen), "either": dialEither(missing, listen)} {
		srv := &Service{base: "http://" + listen, key: "the-key", http: newHTTP(own(uid, dial)), wait: pause}
		_, err := srv.Token(t.Context(), Request{Client: "demo"})
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "it belongs to another user: user ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		for _, socket := range []string{"off", missing} {
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

// TestListenerWithoutUser: a listener whose user is unknown is refused.
func TestListenerWithoutUser(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	pipe := func(context.Context, string, string) (net.Conn, error) { return here, nil }
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports the user of a listener")
	}
	if c, err := own(os.Geteuid(), pipe)(t.Context(), "tcp", "x"); err == nil || c != nil || !strings.Contains(err.Error(), "cannot determine the user") {
		t.Errorf("%v, %v", c, err)
	}
}
