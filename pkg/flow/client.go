package flow

import (
	"context"
	"errors"
	"time"

	"golang.org/x/oauth2"
)

var errNotYet = errors.New("flow: not there yet")

// Client is one OAuth client at one tenant and the grant that it keeps. It is
// safe for concurrent use; [New] makes it.
type Client struct{ cfg Config }

// Request is which access token is wanted.
type Request struct {
	MinValidity time.Duration // how long it must still be valid; more than the tenant gives is served as fresh as can be
	Audience    string        // "": the client's own
	Scopes      []string      // nil: the client's own
	Force       bool          // refresh although memory has a token
}

// Name returns the client's name, which is its grant's key in the store.
func (c *Client) Name() string { return c.cfg.Name }

// Get returns a token that satisfies r: from memory, or refreshed once for all
// that wait. When the tenant's tokens live shorter than r.MinValidity the
// result is a fresh one all the same; see [Token.Remaining].
func (c *Client) Get(ctx context.Context, r Request) (*Token, error) { return nil, errNotYet }

// Cached returns the token in memory that satisfies r, or nil. It takes no
// lock and allocates nothing. [Client.Get] uses it first.
func (c *Client) Cached(r Request) *Token { return nil }

// Refresh refreshes now, once for all that ask at the same time, and returns
// the grant as it is afterwards.
func (c *Client) Refresh(ctx context.Context) (*Grant, error) { return nil, errNotYet }

// Status returns what is known, from memory.
func (c *Client) Status() Status { return Status{} }

// Forget revokes the refresh token at the tenant (RFC 7009) and deletes the
// grant. The grant is deleted even when the tenant does not answer; that error
// is returned then.
func (c *Client) Forget(ctx context.Context) error { return errNotYet }

// Run keeps the grant: it loads it, signs in where that needs no person,
// refreshes before expiry and keeps an idle grant alive, until ctx ends. It
// waits for a refresh in flight and then returns nil.
func (c *Client) Run(ctx context.Context) error { return errNotYet }

// Token implements [oauth2.TokenSource].
func (c *Client) Token() (*oauth2.Token, error) { return nil, errNotYet }
