package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/pkg/flow"
)

// resealer is a medium whose values can be sealed with another key while processes
// use it.
type resealer interface {
	// SealingKey returns the id of the key that every process seals with.
	SealingKey(ctx context.Context) (uint32, error)
	// UseKey makes a key that one. Nothing is sealed with the former key afterwards.
	UseKey(ctx context.Context, id uint32) error
	// SealedWith counts the values by the key that sealed them.
	SealedWith(ctx context.Context) (map[uint32]int, error)
	// Reseal seals every value again that has another key. It returns how many it
	// sealed, and how many do not open.
	Reseal(ctx context.Context) (sealed, unreadable int, err error)
}

// keyChecker is a medium that can ask the other processes whether they have a key.
type keyChecker interface {
	// Lacks reports whether a process has answered that it does not have the key.
	Lacks(ctx context.Context, id uint32) (bool, error)
}

// KeyUse is a key and how many values of a store it seals.
type KeyUse struct {
	ID     uint32
	Seals  bool // new values get this key
	Known  bool // it is in the keyset
	Values int  // grants, pending logins and spilled grants
}

// KeyUses returns the keys of the keyset and of the store's values, the one that seals
// first.
func (s *Store) KeyUses(ctx context.Context) ([]KeyUse, error) {
	in, err := s.medium.SealingKey(ctx)
	if err != nil {
		return nil, err
	}
	count, err := s.sealedWith(ctx)
	if err != nil {
		return nil, err
	}
	s.keys.Refresh()
	var uses []KeyUse
	for _, k := range s.keys.Keys() {
		uses = append(uses, KeyUse{ID: k.ID, Seals: k.ID == in, Known: true, Values: count[k.ID]})
		delete(count, k.ID)
	}
	for id, n := range count {
		uses = append(uses, KeyUse{ID: id, Seals: id == in, Values: n})
	}
	slices.SortFunc(uses, func(a, b KeyUse) int {
		if a.Seals != b.Seals {
			return map[bool]int{true: -1, false: 1}[a.Seals]
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return uses, nil
}

// sealedWith counts the values of medium and spill by their key.
func (s *Store) sealedWith(ctx context.Context) (map[uint32]int, error) {
	count, err := s.medium.SealedWith(ctx)
	if err != nil {
		return nil, err
	}
	err = s.spill.each(func(_ string, f *spilled) error {
		if id, ok := seal.KeyOf(f.Sealed); ok {
			count[id]++
		}
		return nil
	})
	return count, err
}

// Rotation is the result of [Store.RotateKeys].
type Rotation struct {
	Key        uint32   // seals now
	Resumed    bool     // an interrupted rotation was finished, no key was made
	Resealed   int      // values
	Unreadable int      // values that do not open; they have a former key
	Retired    []uint32 // keys that were removed from the keyset
	Kept       []uint32 // former keys that stay
	Shared     bool     // they stay because other stores have used the keyset
	Replicas   bool     // they stay until RetireKeys, because other machines may need them
}

// rotationLease is the key of the lease of a rotation.
const rotationLease = "rotation of the store keys"

// RotateKeys replaces the key of the keyset file at path by a new one, while other
// processes use the store: they read the file again when they meet the new key.
//
// The new key is first in the file, then the store seals with it, then everything is
// sealed again, and the former keys are removed when nothing has them. After an
// interruption at any step the next call continues there. Former keys stay if another
// store has used the keyset, unless alone is set.
//
// If other machines can use the store, each may have a keyset file and a spill of its
// own. Then the new key is that of [Store.AddKey], which the file of each machine has by
// now, and the former keys stay until [Store.RetireKeys].
func (s *Store) RotateKeys(ctx context.Context, path string, alone bool) (r Rotation, err error) {
	err = s.rotating(ctx, path, func(file *seal.Keyset) error {
		r.Shared, r.Replicas = !alone && s.keysShared(), s.replicas
		file, r.Resumed, err = s.rotationTarget(ctx, path, file, r.Shared)
		if err != nil {
			return err
		}
		r.Key = file.Primary()
		s.keys.Refresh()
		if err := s.useKey(ctx, r.Key); err != nil {
			return err
		}
		if r.Resealed, r.Unreadable, err = s.medium.Reseal(ctx); err != nil {
			return err
		}
		if err := s.resealSpill(ctx, &r); err != nil {
			return err
		}
		return s.retire(ctx, file, &r, s.replicas, replacing(path))
	})
	return r, err
}

// AddKey adds a new key to the keyset at path, as its primary one, for RotateKeys. It
// passes the new content of the file to write; nil: it replaces the file. A new key that
// the store does not use yet is returned instead of another one.
func (s *Store) AddKey(ctx context.Context, path string, write func([]byte) error) (r Rotation, err error) {
	err = s.rotating(ctx, path, func(file *seal.Keyset) error {
		in, err := s.medium.SealingKey(ctx)
		if err != nil {
			return err
		}
		if r.Resumed = in != file.Primary(); !r.Resumed {
			if file, err = file.Added(); err != nil {
				return err
			}
		}
		r.Key = file.Primary()
		if r.Resumed && write == nil {
			return nil
		}
		return writeKeyset(file, orReplace(write, path))
	})
	return r, err
}

// RetireKeys removes the former keys from the keyset at path if no value of the store
// or of this machine's spill has them. write and alone are as for AddKey and RotateKeys.
func (s *Store) RetireKeys(ctx context.Context, path string, alone bool, write func([]byte) error) (r Rotation, err error) {
	err = s.rotating(ctx, path, func(file *seal.Keyset) error {
		r.Shared = !alone && s.keysShared()
		if r.Key, err = s.medium.SealingKey(ctx); err != nil {
			return err
		}
		if r.Key != file.Primary() {
			return hint.Errorf("run tokend key rotate first", "store: the store does not use the new key %d yet", file.Primary())
		}
		return s.retire(ctx, file, &r, false, orReplace(write, path))
	})
	return r, err
}

// rotating runs a step of a rotation, one at a time.
func (s *Store) rotating(ctx context.Context, path string, f func(file *seal.Keyset) error) (err error) {
	l, err := s.Lock(ctx, rotationLease, time.Hour)
	if errors.Is(err, flow.ErrLocked) {
		return hint.Errorf("wait for its end", "store: another rotation of the keys is running: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release(context.WithoutCancel(ctx))) }()
	file, err := readKeyset(path, durable.Others)
	if err != nil {
		return err
	}
	return f(file)
}

// rotationTarget returns the keyset whose primary key is to seal: the one of an
// interrupted rotation, or one with a new key, which it writes.
func (s *Store) rotationTarget(ctx context.Context, path string, file *seal.Keyset, shared bool) (target *seal.Keyset, resumed bool, err error) {
	in, err := s.medium.SealingKey(ctx)
	if err != nil {
		return nil, false, err
	}
	count, err := s.sealedWith(ctx)
	if err != nil {
		return nil, false, err
	}
	delete(count, file.Primary())
	unused := len(file.Keys()) > 1 && !shared && !s.replicas // to be removed
	switch {
	case in != file.Primary(): // of AddKey, or of an interrupted rotation
		return file, !s.replicas, nil
	case len(count) > 0 || unused:
		return file, true, nil
	case s.replicas:
		return nil, false, hint.Errorf("tokend key rotate --add-only, copy the keyset file to all replicas, and run this again: see docs/deploy.md",
			"store: %s has no new key, which all replicas must have before the store uses it", path)
	}
	if target, err = file.Added(); err != nil {
		return nil, false, err
	}
	return target, false, writeKeyset(target, replacing(path))
}

// useKey makes a key the one that every process seals with, unless one lacks it.
func (s *Store) useKey(ctx context.Context, id uint32) error {
	in, err := s.medium.SealingKey(ctx)
	if err != nil || in == id {
		return err
	}
	if m, ok := s.medium.(keyChecker); ok {
		lacks, err := m.Lacks(ctx, id)
		if err != nil {
			return err
		}
		if lacks {
			return hint.Errorf("copy the keyset file to all replicas, or wait until a changed Secret has reached them, and run this again",
				"store: a running replica does not have the new store key %d", id)
		}
	}
	return s.medium.UseKey(ctx, id)
}

// retire removes the former keys from the keyset when nothing has them, unless they
// are to stay.
func (s *Store) retire(ctx context.Context, file *seal.Keyset, r *Rotation, stay bool, write func([]byte) error) error {
	for _, k := range file.Keys() {
		if !k.Primary {
			r.Kept = append(r.Kept, k.ID)
		}
	}
	count, err := s.sealedWith(ctx)
	if err != nil {
		return err
	}
	delete(count, r.Key)
	if len(r.Kept) == 0 || len(count) > 0 || r.Shared || stay {
		return nil
	}
	alone, err := file.Retired()
	if err != nil {
		return err
	}
	if err := writeKeyset(alone, write); err != nil {
		return err
	}
	r.Retired, r.Kept = r.Kept, nil
	return nil
}

// keysShared reports whether another store has used the keyset: then it has a mark.
func (s *Store) keysShared() bool {
	for _, id := range slices.Concat(sqlite.Marked(s.markFile), postgres.Marked(s.markFile)) {
		if id != s.ID() {
			return true
		}
	}
	return false
}

// each calls f with each spilled file of this store that can be read, also those that
// are kept for a person.
func (s spill) each(f func(name string, f *spilled) error) error {
	if s.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
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
		name := filepath.Join(s.dir, e.Name())
		file, err := readSpilled(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, flow.ErrCorrupt) {
			continue
		}
		if err != nil {
			return fmt.Errorf("store: spill: %w", err)
		}
		if file.Store != s.store {
			continue
		}
		if err := f(name, file); err != nil {
			return err
		}
	}
	return nil
}

// resealSpill seals the spilled grants again, each under its lease.
func (s *Store) resealSpill(ctx context.Context, r *Rotation) error {
	return s.spill.each(func(name string, f *spilled) error {
		if id, ok := seal.KeyOf(f.Sealed); !ok || id == r.Key {
			return nil
		}
		l, err := lockSoon(ctx, s, f.Key)
		if err != nil {
			return err
		}
		defer func() { _ = l.Release(context.WithoutCancel(ctx)) }() // a lease that is not released expires
		f, err = readSpilled(name)
		if errors.Is(err, fs.ErrNotExist) { // saved since
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: spill: %w", err)
		}
		g, err := f.open(s.keys)
		if err != nil {
			r.Unreadable++
			return nil //nolint:nilerr // counted
		}
		r.Resealed++
		return s.spill.write(name, f.Key, g)
	})
}

// lockSoon takes the lease of a grant, and waits for a refresh that is running.
func lockSoon(ctx context.Context, s flow.Store, key string) (flow.Lease, error) {
	const ttl, pause, atMost = 10 * time.Second, 200 * time.Millisecond, time.Minute
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		l, err := s.Lock(ctx, key, ttl)
		if !errors.Is(err, flow.ErrLocked) {
			return l, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, hint.Errorf("try again", "store: a grant is in use by another process: %w", err)
		}
	}
}
