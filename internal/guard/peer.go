package guard

import (
	"log/slog"
	"net"
	"os"
)

// peerListener accepts connections of one user only. The socket's mode does
// the same; this check holds when the mode was loosened, and against root.
type peerListener struct {
	*net.UnixListener
	uid    int
	refuse func(uid int, err error)
}

// OwnPeers returns l without the connections of other users, which it closes.
func OwnPeers(l *net.UnixListener, log *slog.Logger) net.Listener {
	own := os.Geteuid()
	return &peerListener{UnixListener: l, uid: own, refuse: func(uid int, err error) {
		const refused = "refused a connection to the socket"
		if err != nil {
			log.Warn(refused, "reason", "cannot determine the peer's user: "+err.Error(), "hint", "use TCP and an API key")
			return
		}
		log.Warn(refused, "reason", "it comes from another user", "uid", uid, "hint", "run the program as the user of the service, or use TCP and an API key")
	}}
}

// Accept closes the connections of other users and waits for the next.
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
		_ = c.Close() // nothing was written to it
	}
}
