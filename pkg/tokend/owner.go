package tokend

import (
	"errors"
	"fmt"
	"net"
)

// ErrForeign means that another user listens at the service's default address.
// Nothing was sent there.
var ErrForeign = errors.New("the listener belongs to another user")

// checkOwner refuses the listener behind c unless it belongs to uid or root, as
// systemd listens for a service.
func checkOwner(c net.Conn, uid int) error {
	users, known, err := listenerUsers(c)
	switch {
	case err != nil:
		return fmt.Errorf("cannot tell who listens at %s: %w", c.RemoteAddr(), err)
	case known && len(users) == 0:
		return fmt.Errorf("cannot tell who listens at %s: %w", c.RemoteAddr(), ErrForeign)
	}
	for _, user := range users {
		if user != uid && user != 0 {
			return fmt.Errorf("%w: user %d listens at %s", ErrForeign, user, c.RemoteAddr())
		}
	}
	return nil
}
