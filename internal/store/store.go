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
	"path/filepath"
	"strings"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
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
	SpillDir string       // for grants that cannot be saved; "": next to the database
	MarkFile string       // has the highest revision, to notice an older copy; stores can share it; "" or not writable: DATABASE.mark
}

// Store is a [flow.Store] on a durable medium. If the medium is a file, it also
// has a spill: see [Store.Spill].
type Store struct {
	medium
	spill    spill
	keys     *seal.Keyset
	markFile string
}

var (
	_ flow.Store       = (*Store)(nil)
	_ flow.Spiller     = (*Store)(nil)
	_ flow.Lister      = (*Store)(nil)
	_ flow.LoginKeeper = (*Store)(nil)
)

// memory is the sqlite path of a database in memory.
const memory = ":memory:"

// Open opens the store at a URL and creates it if there is none:
//
//	sqlite:/path/to/tokend.db   a file; a relative path is from the working directory
//	sqlite::memory:             in memory, until Close
//
// o.Keys seals the grants. If a store was sealed with other keys, is damaged
// ([flow.ErrCorrupt]), or others could change it, Open returns an error and
// overwrites nothing. Close it after use.
//
// If an open store is deleted, replaced or restored from an older copy, every
// operation returns [flow.ErrReplaced]. If an older copy was restored before
// Open, its grants have [flow.Grant.Restored] set.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	if o.Keys == nil {
		return nil, errors.New("store: no keyset to seal grants with")
	}
	s := &Store{keys: o.Keys, markFile: o.MarkFile}
	if path != memory {
		if err := guardDatabase(path); err != nil {
			return nil, err
		}
		if s.spill, err = newSpill(path, o); err != nil {
			return nil, err
		}
	}
	s.medium, err = sqlite.Open(ctx, path, sqlite.Options{Sealer: o.Keys, MarkFile: o.MarkFile})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	if path != memory {
		s.spill.store = s.ID()
		if err := s.spill.takeOver(spillDir(path)); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// sqlitePath returns the absolute path of a sqlite URL, or ":memory:".
func sqlitePath(url string) (string, error) {
	scheme, path, found := strings.Cut(url, ":")
	if !found || scheme != "sqlite" {
		return "", hint.Errorf("use sqlite:/path/to/tokend.db", "store: scheme %q is not supported", scheme)
	}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return "", hint.Errorf("use sqlite:/path/to/tokend.db", "store: sqlite URL %q names a host", url)
		}
		path = rest
	}
	switch {
	case path == memory:
		return memory, nil
	case path == "" || strings.HasSuffix(path, "/"):
		return "", hint.Errorf("use sqlite:/path/to/tokend.db", "store: sqlite URL %q names no file", url)
	case strings.ContainsRune(path, 0):
		return "", errors.New("store: the sqlite path holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: sqlite path %q: %w", path, err)
	}
	return abs, nil
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
