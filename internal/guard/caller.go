package guard

import (
	"context"
	"slices"
)

// Caller is who made a request. The zero Caller may use no client.
type Caller struct {
	Name string // of its API key; "socket" for a unix socket; "" when no key was checked

	all     bool
	clients []string
}

// May reports whether the caller may use a client.
func (c *Caller) May(client string) bool { return c.all || slices.Contains(c.clients, client) }

type callerKey struct{}

// WithCaller returns a context of a request that carries its caller.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller in the context of a request, the zero Caller when
// there is none.
func CallerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return &Caller{}
}
