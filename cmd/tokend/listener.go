package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// errForeign is a listener that belongs to another user of the machine.
var errForeign = errors.New("it is another user's")

// ownListener makes t refuse a listener of another user, before anything is sent:
// whoever takes the default port while tokend does not run would be shown the
// key, and his token would be taken for tokend's. Root's is fine, as systemd
// listens for a service.
func ownListener(t *http.Transport, uid int) {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return c, err
		}
		users, known, err := listenerUsers(c)
		switch {
		case err != nil:
			err = fmt.Errorf("who listens at %s cannot be told: %w", c.RemoteAddr(), err)
		case known && len(users) == 0:
			err = fmt.Errorf("who listens at %s cannot be told: %w", c.RemoteAddr(), errForeign)
		}
		for _, user := range users {
			if user != uid && user != 0 {
				err = fmt.Errorf("%w: user %d listens at %s", errForeign, user, c.RemoteAddr())
			}
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}
}
