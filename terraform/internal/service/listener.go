package service

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// errForeign is a listener that belongs to another user of the machine.
var errForeign = errors.New("it belongs to another user")

// own makes a dialer refuse a listener of a user other than uid and root, before it sends
// anything. Otherwise a user who takes the default port while tokend does not run would
// get the key, and could supply a token of their own.
func own(uid int, dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		users, known, err := listenerUsers(c)
		if known && err == nil && len(users) == 0 {
			err = errForeign // the listener has ended
		}
		if err != nil {
			err = fmt.Errorf("cannot determine the user that listens at %s: %w", c.RemoteAddr(), err)
		}
		for _, user := range users {
			if user != uid && user != 0 {
				err = fmt.Errorf("%w: user %d listens at %s; to use that service, set endpoint", errForeign, user, c.RemoteAddr())
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
