package flow

import (
	"context"
	"encoding/json"
	"time"
)

// Store keeps grants. It is safe for concurrent use by goroutines and, where
// its medium is shared, by processes.
//
// Two promises make a rotated refresh token safe (see docs/rotation.md):
// a grant is durable when Save returns nil, and Save changes nothing when the
// lease or the revision has moved on.
type Store interface {
	// Load returns the grant of a key, or [ErrNotFound]. The caller owns the result.
	// A grant that exists but cannot be read (wrong key, damaged) is [ErrCorrupt].
	Load(ctx context.Context, key string) (*Grant, error)

	// Save writes g under l.Key(), durable when it returns nil, and then sets
	// g.Revision to the stored one. It is [ErrConflict], with nothing changed,
	// when l was released or taken by another holder, or when the stored revision
	// is not g.Revision (0: no grant is stored yet). A lease that has run out and
	// that nobody has taken still counts: an answer may arrive late.
	Save(ctx context.Context, l Lease, g *Grant) error

	// Delete removes the grant of a key, readable or not; a key without one is
	// no error. A logout is a stored state, not a deletion.
	Delete(ctx context.Context, key string) error

	// Lock takes the lease of a key for ttl, measured by the store's own clock,
	// or returns [ErrLocked] at once while another holder has it. A holder whose
	// process has ended has it no longer, where the store can tell. After it
	// succeeded the caller must Load again: another holder may have refreshed.
	Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error)
}

// Lease is the right to change one grant, until it is released or runs out.
type Lease interface {
	// Key is the grant's key.
	Key() string
	// Renew prolongs the lease by its ttl from now, also when it has run out and
	// nobody has taken it; [ErrConflict] when another holder has.
	Renew(ctx context.Context) error
	// Release ends the lease. A lease that was lost is left alone: nobody
	// releases what is another's.
	Release(ctx context.Context) error
}

// Spiller is what a [Store] may implement beside: a last place for a grant
// that the tenant has handed out and Save keeps refusing. Spill is durable when
// it returns nil, needs no lease, and a later Load takes the spilled grant up
// when it is the newer one.
type Spiller interface {
	Spill(ctx context.Context, key string, g *Grant) error
}

// GrantKey is the key of a client's grant in a [Store]. Two clients of one name
// with different issuers or client ids have different grants.
func GrantKey(issuer, clientID, name string) string {
	b, err := json.Marshal([]string{name, clientID, issuer})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return string(b)
}
