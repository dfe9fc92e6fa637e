package tokend

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serve answers on l until the test ends.
func serve(t *testing.T, l net.Listener) {
	t.Helper()
	s := &http.Server{Handler: http.NotFoundHandler()} //nolint:gosec // a test's
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
}

func TestListenerUsers(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, tcp)
	any6, err := net.Listen("tcp", "[::]:0") // 127.0.0.1, too
	if err != nil {
		any6 = nil // no IPv6
	}
	file, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, file)
	places := map[string]string{tcp.Addr().String(): "tcp", file.Addr().String(): "unix"}
	if any6 != nil {
		serve(t, any6)
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
		t.Error("a non-numeric user is skipped")
	}
}

func TestCheckOwner_RefusesAListenerThatHasEnded(t *testing.T) {
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
	if err := checkOwner(c, os.Geteuid()); err != nil {
		t.Errorf("a listener of this user: %v", err)
	}
	_ = l.Close()
	if users, known, err := listenerUsers(c); err != nil || !known || users != nil {
		t.Errorf("%v, %v, %v", users, known, err)
	}
	pipe, other := net.Pipe()
	defer func() { _, _ = pipe.Close(), other.Close() }()
	for name, conn := range map[string]net.Conn{"ended": c, "no address": pipe} {
		err := checkOwner(conn, os.Geteuid())
		if err == nil || !strings.Contains(err.Error(), "cannot tell who listens") || errors.Is(err, ErrForeign) != (name == "ended") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckUsers(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8484}
	for name, tt := range map[string]struct {
		users []int
		known bool
		want  string // in the error; "": none
	}{
		"own":              {[]int{1000}, true, ""},
		"root's":           {[]int{0}, true, ""},
		"accepted by root": {[]int{1000, 0}, true, ""},
		"another user's":   {[]int{1001}, true, "belongs to another user: user 1001 listens at 127.0.0.1:8484"},
		"one of another":   {[]int{1000, 1001}, true, "user 1001"},
		"ended":            {nil, true, "cannot tell who listens at 127.0.0.1:8484"},
		"not known":        {nil, false, ""},
	} {
		err := checkUsers(at, tt.users, tt.known, 1000)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrForeign)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
