package tokend

import (
	"errors"
	"fmt"
	"net"
)

// ErrForeign means that another user listens at the service's default address.
// Nothing was sent there.
var ErrForeign = errors.New("the listener belongs to another user")

// checkOwner rejects the listener of c unless it belongs to uid or root (systemd
// listens for a service as root).
func checkOwner(c net.Conn, uid int) error {
	users, known, err := listenerUsers(c)
	if err != nil {
		return fmt.Errorf("cannot tell who listens at %s: %w", c.RemoteAddr(), err)
	}
	return checkUsers(c.RemoteAddr(), users, known, uid)
}

// checkUsers is checkOwner for known users of a listener.
func checkUsers(at net.Addr, users []int, known bool, uid int) error {
	if known && len(users) == 0 {
		return fmt.Errorf("cannot tell who listens at %s: %w", at, ErrForeign)
	}
	for _, user := range users {
		if user != uid && user != 0 {
			return fmt.Errorf("%w: user %d listens at %s", ErrForeign, user, at)
		}
	}
	return nil
}
