package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/store/sqlite"
)

// Check returns the error that [Open] would return for the store at url. It
// changes nothing, does not try to write, and other processes may be using the
// store. o.Keys is nil if the file keyset, which is where its keys are to be,
// does not exist yet. made is false if there is no store yet.
func Check(ctx context.Context, url string, o Options, keyset string) (made bool, err error) {
	path, err := sqlitePath(url)
	if err != nil || path == memory {
		return false, err
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
	if err := checkSpill(path, o.SpillDir); err != nil {
		return false, err
	}
	found, err := existingFile(url)
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

// checkSpill rejects a spill directory that others can write to.
func checkSpill(database, dir string) error {
	if dir == "" {
		dir = spillDir(database)
	}
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	return checkDir(spills, dir, fi)
}

// Dir returns the directory of the store at url, "" if it is only in memory.
func Dir(url string) (string, error) {
	path, err := sqlitePath(url)
	if err != nil || path == memory {
		return "", err
	}
	return filepath.Dir(path), nil
}
