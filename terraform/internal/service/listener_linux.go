package service

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// listenerUsers returns the owners of the sockets at the other end of c: of the listener,
// and of the accepted connection. For TCP they are in proc_pid_net(5); without /proc
// they are unknown.
func listenerUsers(c net.Conn) (users []int, known bool, err error) {
	if u, ok := c.(*net.UnixConn); ok {
		uid, err := socketUser(u)
		return []int{uid}, true, err
	}
	here, err1 := netip.ParseAddrPort(c.LocalAddr().String())
	there, err2 := netip.ParseAddrPort(c.RemoteAddr().String())
	if err := errors.Join(err1, err2); err != nil {
		return nil, true, err
	}
	listens := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if errors.Is(err, fs.ErrNotExist) { // no IPv6, or no /proc at all
			continue
		}
		if err != nil {
			return nil, true, err
		}
		known = true
		found, l, err := usersIn(f, here, there)
		_ = f.Close() // only read
		if err != nil {
			return nil, true, err
		}
		users, listens = append(users, found...), listens || l
	}
	if !listens { // the listener has ended, so its user is unknown
		return nil, known, nil
	}
	return users, known, nil
}

// socketUser returns the user that listens on a unix socket (SO_PEERCRED, unix(7)).
func socketUser(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *syscall.Ucred
	var serr error
	if err = raw.Control(func(fd uintptr) {
		cred, serr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err == nil {
		err = serr
	}
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

// The kernel's numbers for the states of a socket.
const (
	stateEstablished = "01"
	stateListen      = "0A"
)

// usersIn reads a table of sockets.
func usersIn(table io.Reader, here, there netip.AddrPort) (users []int, listens bool, err error) {
	lines := bufio.NewScanner(table)
	lines.Scan() // the heading
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[3] != stateListen && f[3] != stateEstablished {
			continue
		}
		local, ok := socketAddr(f[1])
		if !ok || local.Port() != there.Port() || local.Addr() != there.Addr() && !local.Addr().IsUnspecified() {
			continue
		}
		if remote, ok := socketAddr(f[2]); f[3] == stateEstablished && (!ok || remote != here) {
			continue
		}
		uid, err := strconv.Atoi(f[7])
		if err != nil {
			return nil, false, err
		}
		users, listens = append(users, uid), listens || f[3] == stateListen
	}
	return users, listens, lines.Err()
}

// socketAddr reads "0100007F:2124": words of 32 bits in the machine's order, and
// the port.
func socketAddr(s string) (netip.AddrPort, bool) {
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	p, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok
}
