package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestX09_OtherUserIsClosed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be another user")
	}
	l := socket(t)
	for dir := l.Addr().String(); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil { // the mode lets everybody in; the peer check must not
			t.Fatal(err)
		}
	}
	d := start(t, Config{}, l)
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
	if !strings.Contains(d.log.String(), "uid=65534") {
		t.Errorf("the log does not name the user (%v):\n%s", r.err, d.log)
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
