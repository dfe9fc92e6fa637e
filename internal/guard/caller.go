package guard

import (
	"context"
	"slices"
	"time"
)

// Caller is who made a request. The zero Caller may use no client.
type Caller struct {
	Name    string // of its API key; "socket" for a unix socket; "" when no key was checked
	Subject string // of its token; "" without one

	id      callerID
	session *session // of the dashboard; nil: none

	all         bool
	clients     []string
	anyAudience bool
	audiences   []string
	manage      bool
	expires     time.Time // zero: never
	limit       *limit
}

// callerOf returns the caller with the rights of a key.
func callerOf(k Key, limit *limit) Caller {
	return Caller{
		Name: k.Name, id: idOf("caller", k.Name, k.Hash[:]), all: k.Clients == nil, clients: k.Clients, anyAudience: k.Audiences == nil, audiences: k.Audiences,
		manage: !k.ReadOnly, expires: k.Expires, limit: limit,
	}
}

// May reports whether the caller may use a client.
func (c *Caller) May(client string) bool { return c.all || slices.Contains(c.clients, client) }

// MayManage reports whether the caller may log its clients in and out.
func (c *Caller) MayManage() bool { return c.manage }

// MayAll reports whether the caller may use and manage every client.
func (c *Caller) MayAll() bool { return c.all && c.manage }

// MayHave reports whether the caller may have tokens for an audience; "" is a token
// without one.
func (c *Caller) MayHave(audience string) bool {
	return c.anyAudience || slices.Contains(c.audiences, audience)
}

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
