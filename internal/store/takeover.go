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

// takeOver gives the spilled grants of an earlier version, or of the default
// directory when another is configured now, the place where Load looks. It is
// an error when one cannot be read or written: the saved grant may be older,
// and its refresh token spent. A file that is damaged or another store's stays.
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
		if err := s.takeOverFile(filepath.Join(from, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process was first
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
		return nil //nolint:nilerr // the other stays where it is
	default:
		other, err := there.open(s.keys)
		if err != nil || !supersedes(g, other) {
			return nil //nolint:nilerr // the one that is there is newer or damaged
		}
	}
	if err := s.write(target, key, g); err != nil {
		return err
	}
	return os.Remove(name)
}
