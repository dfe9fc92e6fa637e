package flow

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Store keeps grants. It is safe for concurrent use by goroutines and, if its
// medium is shared, by processes. Its methods return when their context ends; a client
// waits for them. A store that can be out of reach for long should be a [Spiller], too.
//
// Two promises make a rotated refresh token safe (see docs/rotation.md): a grant
// is durable when Save returns nil, and Save changes nothing if the lease or the
// revision has changed.
type Store interface {
	// Load returns the grant of a key, or [ErrNotFound]. The caller owns the
	// result. A grant that cannot be read (wrong key, damaged) is [ErrCorrupt].
	Load(ctx context.Context, key string) (*Grant, error)

	// Save writes g under l.Key(). If it returns nil, the grant is durable, and
	// g.Revision is the stored one. It returns [ErrConflict] and changes nothing
	// if l was released or taken by another holder, or if the stored revision is
	// not g.Revision (0: no grant is stored yet). An expired lease that no
	// other holder has taken still counts, because an answer may arrive late.
	Save(ctx context.Context, l Lease, g *Grant) error

	// Delete removes the grant of a key, readable or not. It is not an error if
	// there is none. A logout is a stored state, not a deletion.
	Delete(ctx context.Context, key string) error

	// Lock takes the lease of a key for ttl, which must be positive, measured by the store's own clock,
	// or returns [ErrLocked] at once if another holder has it. A holder whose
	// process has ended loses it, if the store can detect that. After Lock the
	// caller must Load again, because another holder may have refreshed.
	Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error)
}

// Lease is the right to change one grant, until it is released or expires.
type Lease interface {
	// Key is the grant's key.
	Key() string
	// Renew extends the lease by its ttl from now, even if it has expired, unless
	// another holder has taken it: then it returns [ErrConflict].
	Renew(ctx context.Context) error
	// Release ends the lease. It does not affect another holder's lease.
	Release(ctx context.Context) error
}

// Spiller is an optional interface of a [Store]: a last place for a grant that
// the provider has issued and Save cannot store. A spilled grant is durable when
// Spill returns nil; Spill needs no lease. A later Load returns the spilled grant
// if it is newer than the stored one.
type Spiller interface {
	Spill(ctx context.Context, key string, g *Grant) error
}

// Watcher is an optional interface of a [Store] whose medium other processes
// change.
type Watcher interface {
	// Watch calls changed with the key of each grant that another process has saved
	// since the store was opened, and with "" if any grant may have changed: after one
	// was deleted, and when the connection is lost or back. It may report other grants,
	// too, such as those that this process has saved. It
	// returns when ctx ends, or with an error if the store cannot be watched at
	// all. The calls are made one at a time.
	Watch(ctx context.Context, changed func(key string)) error
}

// Lister is an optional interface of a [Store]: it lists the grants without opening
// them.
type Lister interface {
	// List returns each stored grant once. A grant that is saved or deleted during
	// the iteration may be missing. A yielded error is the last element.
	List(ctx context.Context) iter.Seq2[StoredGrant, error]
}

// StoredGrant is what a store has in the clear of a grant.
type StoredGrant struct {
	Key        string
	Revision   int64
	Generation int64
	State      GrantState
	Saved      time.Time
}

// ProcessLister is an optional interface of a [Store] that knows which processes have it
// open.
type ProcessLister interface {
	// Processes returns them, this one as well, oldest first. One that has just started or
	// has lost its connection may be missing. It returns errors.ErrUnsupported if that
	// cannot be known here.
	Processes(ctx context.Context) ([]Process, error)
}

// Process is a process that has a store open.
type Process struct {
	Host  string    // the name of its machine, perhaps shortened; "": this one
	ID    int       // on its machine, or in its container; 0: unknown
	Since time.Time // when it opened the store or connected again; zero: unknown
	Own   bool      // this process
}

// MaxPendingLogins bounds the pending logins of one client in a [LoginKeeper].
const MaxPendingLogins = 16

// LoginKeeper is an optional interface of a [Store]: it keeps pending logins, so
// that a login that one process began can be finished by another one, or after a
// restart. What it keeps is sealed as a grant is.
type LoginKeeper interface {
	// KeepLogin keeps l, durably when it returns nil, until it is taken, dropped or
	// expires. Of more than [MaxPendingLogins] of one key it drops the oldest.
	KeepLogin(ctx context.Context, l PendingLogin) error

	// TakeLogin removes the login with that [Login.ID] and returns it. Of any number
	// of calls, in any process, one gets it; the others get [ErrNotFound], as for a
	// login that is unknown, has expired, or is of another key ("": of any key).
	TakeLogin(ctx context.Context, key, id string) (PendingLogin, error)

	// PendingLogins returns the logins of a key that have not expired, oldest first.
	PendingLogins(ctx context.Context, key string) ([]PendingLogin, error)

	// DropLogins removes the logins of a key.
	DropLogins(ctx context.Context, key string) error
}

// PendingLogin is a login that has begun, as a [LoginKeeper] keeps it. Its JSON
// contains secrets; printing it masks them.
type PendingLogin struct {
	Key     string    `json:"key"` // of the client's grant: see [GrantKey]
	Started time.Time `json:"started"`
	Login   Login     `json:"login"`

	// Of a device login: the client's grant when it began. A later logout ends the
	// login, and a later login replaces it.
	Revision int64     `json:"revision,omitempty"`
	LoggedIn time.Time `json:"logged_in,omitzero"`
}

// GrantKey returns the key of a client's grant in a [Store]. Clients with the
// same name but different issuers or client ids have different keys.
func GrantKey(issuer, clientID, name string) string {
	b, err := json.Marshal([]string{name, clientID, issuer})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return string(b)
}
