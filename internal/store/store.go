// Package store opens the place where grants are kept. [Open] chooses it by
// URL; [LoadOrCreateKeyset] has the keys that seal it.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/pkg/flow"
)

// medium is what a store of one scheme offers.
type medium interface {
	flow.Store
	io.Closer
	Ping(ctx context.Context) error
	ID() string // random, of the store's making
}

// Options of [Open].
type Options struct {
	Keys     *seal.Keyset // seals grants; required
	SpillDir string       // for grants that cannot be saved; "": beside the database
	MarkFile string       // holds the highest revision, to notice an older copy; several stores may share it; "", and where it cannot be written: DATABASE.mark
}

// Store is a [flow.Store] on a durable medium. Beside it, where the medium is
// a file, it keeps a spill: see [Store.Spill].
type Store struct {
	medium
	spill spill
}

var (
	_ flow.Store   = (*Store)(nil)
	_ flow.Spiller = (*Store)(nil)
)

// memory is the sqlite location that lives and dies with the process.
const memory = ":memory:"

// Open opens the store that a URL names, creating it where there is none:
//
//	sqlite:/path/to/tokend.db   a file; a relative path is from the working directory
//	sqlite::memory:             forgotten at Close
//
// Grants are sealed with o.Keys. A store that was sealed with other keys, is
// damaged (its error is [flow.ErrCorrupt]), or lies where others could change
// it, is an error, and nothing in it is overwritten. Close it after use.
//
// From then on a store that was deleted, replaced or put back to an older copy
// is [flow.ErrReplaced] in every operation. An older copy that was put back
// before Open has grants with [flow.Grant.Restored] set.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	if o.Keys == nil {
		return nil, errors.New("store: no keyset to seal grants with")
	}
	s := &Store{}
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
