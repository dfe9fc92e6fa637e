// Package store opens the store for grants. [Open] selects it by URL;
// [LoadOrCreateKeyset] returns the keys that seal it.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/storeurl"
	"example.com/tokend/pkg/flow"
)

// medium is a store of one scheme.
type medium interface {
	flow.Store
	flow.Lister
	flow.LoginKeeper
	resealer
	io.Closer
	Ping(ctx context.Context) error
	ID() string // random, set when the store is created
}

// Options of [Open].
type Options struct {
	Keys     *seal.Keyset // seals grants; required
	SpillDir string       // for grants that cannot be saved; "": next to the database, or in StateDir
	MarkFile string       // has the highest revision, to notice an older copy; stores can share it; "" or not writable: DATABASE.mark, or in StateDir
	StateDir string       // for the spill and the mark of a database on another machine
	Password flow.Secret  // of the database; "": what its URL or PGPASSFILE has
}

// Store is a [flow.Store] on a durable medium. If it has a directory on this
// machine, it also has a spill: see [Store.Spill].
type Store struct {
	medium
	spill    spill
	keys     *seal.Keyset
	markFile string
	replicas bool // processes of other machines can use the store, with a keyset file and a spill of their own
}

var (
	_ flow.Store       = (*Store)(nil)
	_ flow.Spiller     = (*Store)(nil)
	_ flow.Watcher     = (*Store)(nil)
	_ flow.Lister      = (*Store)(nil)
	_ flow.LoginKeeper = (*Store)(nil)

	_ flow.ProcessLister = (*Store)(nil)
)

// Open opens the store at a URL and creates it if there is none. Package storeurl
// describes the URLs.
//
// o.Keys seals the grants. If a store was sealed with other keys, is damaged
// ([flow.ErrCorrupt]), or others could change it, Open returns an error and
// overwrites nothing. If its database does not answer, the error is
// [ErrUnreachable]. Close it after use.
//
// If an open store is deleted, replaced or restored from an older copy, every
// operation returns [flow.ErrReplaced]. If an older copy was restored before
// Open, its grants have [flow.Grant.Restored] set.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	u, err := storeurl.Parse(url)
	if err != nil {
		return nil, err
	}
	if o.Keys == nil {
		return nil, errors.New("store: no keyset to seal grants with")
	}
	return driverOf(u).Open(ctx, u, o)
}

// Watch implements [flow.Watcher]. It returns errors.ErrUnsupported if the medium
// does not report changes.
func (s *Store) Watch(ctx context.Context, changed func(key string)) error {
	if w, ok := s.medium.(flow.Watcher); ok {
		return w.Watch(ctx, changed)
	}
	return fmt.Errorf("store: watch: %w", errors.ErrUnsupported)
}

// watched is a medium that knows whether changes are reported to it.
type watched interface{ WatchError() error }

// WatchErrors returns the function that returns why Watch reports no changes at the
// moment; nil if the medium never reports any.
func (s *Store) WatchErrors() func() error {
	if w, ok := s.medium.(watched); ok {
		return w.WatchError
	}
	return nil
}

// Processes implements [flow.ProcessLister]. It returns errors.ErrUnsupported if the
// medium does not know the processes.
func (s *Store) Processes(ctx context.Context) ([]flow.Process, error) {
	if p, ok := s.medium.(flow.ProcessLister); ok {
		return p.Processes(ctx)
	}
	return nil, fmt.Errorf("store: processes: %w", errors.ErrUnsupported)
}

// Load implements [flow.Store]. It returns the saved grant, or the spilled one if
// that is newer, with the saved one's revision so that the next Save replaces it.
func (s *Store) Load(ctx context.Context, key string) (*flow.Grant, error) {
	saved, err := s.medium.Load(ctx, key)
	if err != nil && !errors.Is(err, flow.ErrNotFound) {
		return nil, err
	}
	spilled, spillErr := s.spill.load(key)
	switch {
	case errors.Is(spillErr, fs.ErrNotExist) || errors.Is(spillErr, flow.ErrCorrupt):
		return saved, err
	case spillErr != nil: // it may be newer: then the saved refresh token is already used
		return nil, fmt.Errorf("store: spill: %w", spillErr)
	case !newer(spilled, saved):
		return saved, err
	}
	spilled.Revision = 0
	if saved != nil {
		spilled.Revision, spilled.Restored = saved.Revision, saved.Restored
	}
	return spilled, nil
}

// List implements [flow.Lister]. It includes the grants that are only spilled.
func (s *Store) List(ctx context.Context) iter.Seq2[flow.StoredGrant, error] {
	return func(yield func(flow.StoredGrant, error) bool) {
		saved := map[string]bool{}
		for g, err := range s.medium.List(ctx) {
			saved[g.Key] = true
			if !yield(g, err) || err != nil {
				return
			}
		}
		spilled, err := s.spill.list()
		if err != nil {
			yield(flow.StoredGrant{}, fmt.Errorf("store: spill: %w", err))
			return
		}
		for _, g := range spilled {
			if !saved[g.Key] && g.Revision == 0 && !yield(g, nil) { // another revision: the grant was deleted
				return
			}
		}
	}
}

// Save implements [flow.Store]. A spilled grant is removed once it is saved; one
// that another grant has superseded is kept under a name that ends in ".lost". A
// logout removes all spilled grants of the key.
func (s *Store) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	if err := s.medium.Save(ctx, l, g); err != nil {
		return err
	}
	if g.State == flow.GrantLoggedOut {
		_ = s.spill.remove(l.Key()) // if this fails, Load ignores the file because the logout is newer
		return nil
	}
	s.spill.cleanUp(l.Key(), g)
	return nil
}

// Delete implements [flow.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.medium.Delete(ctx, key); err != nil {
		return err
	}
	return s.spill.remove(key)
}
