package service

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// errForeign is a listener that belongs to another user of the machine.
var errForeign = errors.New("it is another user's")

// own makes a dialer refuse a listener of another user than uid and root, before
// anything is sent: whoever takes the default port while tokend does not run
// would be shown the key, and his token would be taken for tokend's.
func own(uid int, dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		users, known, err := listenerUsers(c)
		if known && err == nil && len(users) == 0 {
			err = errForeign // it has gone meanwhile
		}
		if err != nil {
			err = fmt.Errorf("who listens at %s cannot be told: %w", c.RemoteAddr(), err)
		}
		for _, user := range users {
			if user != uid && user != 0 {
				err = fmt.Errorf("%w: user %d listens at %s; if that one is meant, set endpoint", errForeign, user, c.RemoteAddr())
			}
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}
}

func dialTCP(listen string) dialer {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", listen)
	}
}
