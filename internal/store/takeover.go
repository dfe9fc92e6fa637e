package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/tokend/pkg/flow"
)

// takeOver moves the spilled grants of an earlier version, or of the default
// directory if another one is configured now, to where Load looks for them. It
// returns an error if one cannot be read or written, because the saved grant may
// be older and its refresh token already used. Files that are damaged or belong
// to another store are not moved.
func (s spill) takeOver(from string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), damaged) {
			continue
		}
		if err := s.takeOverFile(filepath.Join(from, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process moved it
			return fmt.Errorf("store: spill %s: %w", e.Name(), err)
		}
	}
	return nil
}

func (s spill) takeOverFile(name string) error {
	f, err := readSpilled(name)
	if errors.Is(err, flow.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.Store != "" && f.Store != s.store {
		return nil
	}
	g, err := f.open(s.keys)
	if errors.Is(err, errNoKey) && f.Store != "" && name != s.file(f.Key) && !strings.HasSuffix(name, lost) {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // damaged, or sealed with another keyset
	}
	key := f.Key
	if f.Store == "" {
		key = flow.GrantKey(g.Issuer, g.ClientID, f.Key)
	}
	target := s.file(key)
	if strings.HasSuffix(name, lost) {
		target += lost
	}
	if name == target {
		return nil
	}
	there, err := readSpilled(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil //nolint:nilerr // a file of another store is not moved
	default:
		other, err := there.open(s.keys)
		if err != nil || !supersedes(g, other) {
			return nil //nolint:nilerr // the existing file is newer or damaged
		}
	}
	if err := s.write(target, key, g); err != nil {
		return err
	}
	return os.Remove(name)
}
