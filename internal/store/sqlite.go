package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/storeurl"
)

// sqliteDriver opens stores in one file, and in memory.
type sqliteDriver struct{}

// Open implements Driver.
func (sqliteDriver) Open(ctx context.Context, u storeurl.URL, o Options) (*Store, error) {
	s := &Store{keys: o.Keys, markFile: o.MarkFile}
	if path := u.File(); path != "" {
		if err := guardDatabase(path); err != nil {
			return nil, err
		}
		var err error
		if s.spill, err = newSpill(spillDir(path), o); err != nil {
			return nil, err
		}
	}
	medium, err := sqlite.Open(ctx, u.Path, sqlite.Options{Sealer: o.Keys, SpillDir: s.spill.dir, MarkFile: o.MarkFile})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", u.Path, err)
	}
	s.medium = medium
	if path := u.File(); path != "" {
		s.spill.store = s.ID()
		if err := s.spill.takeOver(spillDir(path)); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Check implements Driver.
func (d sqliteDriver) Check(ctx context.Context, u storeurl.URL, o Options, keyset string) (made bool, err error) {
	path := u.File()
	if path == "" {
		return false, nil
	}
	fi, err := os.Stat(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	if err := checkDir(stateDir, filepath.Dir(path), fi); err != nil {
		return false, err
	}
	if err := guardFiles(path); err != nil {
		return false, err
	}
	if err := checkSpill(cmp.Or(o.SpillDir, spillDir(path))); err != nil {
		return false, err
	}
	found, err := d.Exists(ctx, u, o)
	if err != nil || found == "" {
		return false, err
	}
	if o.Keys == nil {
		return true, noKeyset(keyset, found)
	}
	err = sqlite.Check(ctx, path, o.Keys)
	if errors.Is(err, fs.ErrNotExist) { // there is only a spill
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("store %s: %w", path, err)
	}
	return true, nil
}

// Exists implements Driver. It returns the first file of the store.
func (sqliteDriver) Exists(_ context.Context, u storeurl.URL, _ Options) (string, error) {
	path := u.File()
	if path == "" {
		return "", nil
	}
	for _, name := range []string{path, path + "-wal", spillDir(path)} {
		switch _, err := os.Lstat(name); {
		case err == nil:
			return name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("store: %w", err)
		}
	}
	return "", nil
}
