package guard

import (
	"context"
	"log/slog"
	"net"
	"os"
)

// Peer is the process at the other end of a unix socket when it connected.
type Peer struct{ UID, GID, PID int } // -1: unknown

// peerListener accepts connections of certain users only. The socket's mode does the same
// for one user; this check holds when the mode was loosened, and against root.
type peerListener struct {
	*net.UnixListener
	admit  func(Peer) bool
	refuse func(uid int, err error)
}

// OwnPeers returns l without the connections of other users, which it closes.
func OwnPeers(l *net.UnixListener, log *slog.Logger) net.Listener { return Peers(l, nil, log) }

// Peers returns l without the connections that admit refuses, which it closes; nil: those
// of other users.
func Peers(l *net.UnixListener, admit func(Peer) bool, log *slog.Logger) net.Listener {
	if own := os.Geteuid(); admit == nil {
		admit = func(p Peer) bool { return p.UID == own }
	}
	return &peerListener{UnixListener: l, admit: admit, refuse: func(uid int, err error) {
		const refused = "refused a connection to the socket"
		if err != nil {
			log.Warn(refused, "reason", "cannot determine the peer's user: "+err.Error(), "hint", "use TCP and an API key")
			return
		}
		log.Warn(refused, "reason", "it comes from another user", "uid", uid,
			"hint", "run the program as the user of the service, add its uid to a caller, or use TCP and an API key")
	}}
}

// Accept closes the connections of other users and waits for the next.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := peerOf(c)
		if err == nil && l.admit(peer) {
			return &peerConn{c, peer}, nil
		}
		l.refuse(peer.UID, err)
		_ = c.Close() // nothing was written to it
	}
}

// peerConn is a connection whose peer is known.
type peerConn struct {
	*net.UnixConn
	peer Peer
}

type peerKey struct{}

// ConnContext is for [http.Server]: the context of a request then has its peer.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*peerConn); ok {
		return context.WithValue(ctx, peerKey{}, &c.peer)
	}
	return ctx
}

// PeerOf returns the peer in the context of a request, nil without a unix socket.
func PeerOf(ctx context.Context) *Peer {
	p, _ := ctx.Value(peerKey{}).(*Peer)
	return p
}
