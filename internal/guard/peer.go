package guard

import (
	"log/slog"
	"net"
	"os"
)

// peerListener accepts connections of one user only. The socket's mode says the
// same; this holds when the mode was loosened, and against root.
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
			log.Warn(refused, "reason", "cannot find the user at its other end: "+err.Error(), "hint", "use TCP and an API key")
			return
		}
		log.Warn(refused, "reason", "it is another user's", "uid", uid, "hint", "run the program as the user of the service, or use TCP and an API key")
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
