package daemon

import (
	"net"
	"os"
)

// peerListener accepts connections of one user only. The socket's mode says
// the same; this holds where somebody loosened that, or root dropped into it.
type peerListener struct {
	*net.UnixListener
	uid    int
	refuse func(uid int, err error)
}

func (d *Daemon) ownPeers(l *net.UnixListener) net.Listener {
	return &peerListener{UnixListener: l, uid: os.Geteuid(), refuse: func(uid int, err error) {
		if err != nil {
			d.log.Warn("refused a connection to the socket: its peer is unknown", "error", err)
			return
		}
		d.log.Warn("refused a connection to the socket: it is another user's", "uid", uid)
	}}
}

// Accept closes the connections of others and goes on.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && uid == l.uid {
			return c, nil
		}
		l.refuse(uid, err)
		_ = c.Close() // nothing was said on it
	}
}
