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

// Check says what [Open] would refuse of the store that url names, while others
// may use it, and changes nothing. It does not try to write. o.Keys is nil when
// the file keyset, which is to have them, does not exist yet. made is false when
// there is no store yet.
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
	if err := judgeDir(stateDir, filepath.Dir(path), fi); err != nil {
		return false, err
	}
	if err := guardFiles(path); err != nil {
		return false, err
	}
	if err := checkSpill(path, o.SpillDir); err != nil {
		return false, err
	}
	found, err := exists(url)
	if err != nil || found == "" {
		return false, err
	}
	if o.Keys == nil {
		return true, noKeyset(keyset, found)
	}
	err = sqlite.Check(ctx, path, o.Keys)
	if errors.Is(err, fs.ErrNotExist) { // only a spill
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("store %s: %w", path, err)
	}
	return true, nil
}

// checkSpill refuses a spill directory that others can write to.
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
	return judgeDir(spills, dir, fi)
}

// Dir returns the directory that the store that url names lies in, "" when it
// is in memory alone.
func Dir(url string) (string, error) {
	path, err := sqlitePath(url)
	if err != nil || path == memory {
		return "", err
	}
	return filepath.Dir(path), nil
}
