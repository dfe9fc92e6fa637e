package flow

import (
	"context"
	"iter"
	"maps"
	"slices"
)

// List implements [Lister].
func (s *MemoryStore) List(ctx context.Context) iter.Seq2[StoredGrant, error] {
	return func(yield func(StoredGrant, error) bool) {
		for _, g := range s.stored() {
			if err := ctx.Err(); err != nil {
				yield(StoredGrant{}, err)
				return
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

func (s *MemoryStore) stored() []StoredGrant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []StoredGrant
	for _, key := range slices.Sorted(maps.Keys(s.grants)) {
		g := s.grants[key]
		list = append(list, StoredGrant{Key: key, Revision: g.Revision, Generation: g.Generation, State: g.State, Saved: s.saved[key]})
	}
	return list
}

// KeepLogin implements [LoginKeeper].
func (s *MemoryStore) KeepLogin(ctx context.Context, l PendingLogin) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLogins(func(old PendingLogin) bool { return old.Login.ID() == l.Login.ID() })
	s.logins = append(s.logins, l)
	n := len(s.loginsOf(l.Key))
	s.dropLogins(func(old PendingLogin) bool {
		if old.Key != l.Key || n <= MaxPendingLogins {
			return false
		}
		n--
		return true
	})
	return nil
}

// TakeLogin implements [LoginKeeper].
func (s *MemoryStore) TakeLogin(ctx context.Context, key, id string) (PendingLogin, error) {
	if err := ctx.Err(); err != nil {
		return PendingLogin{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLogins(nil)
	i := slices.IndexFunc(s.logins, func(l PendingLogin) bool { return l.Login.ID() == id && (key == "" || l.Key == key) })
	if i < 0 {
		return PendingLogin{}, ErrNotFound
	}
	l := s.logins[i]
	s.logins = slices.Delete(s.logins, i, i+1)
	return l, nil
}

// PendingLogins implements [LoginKeeper].
func (s *MemoryStore) PendingLogins(ctx context.Context, key string) ([]PendingLogin, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLogins(nil)
	return s.loginsOf(key), nil
}

// DropLogins implements [LoginKeeper].
func (s *MemoryStore) DropLogins(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLogins(func(l PendingLogin) bool { return l.Key == key })
	return nil
}

// loginsOf returns the logins of a key; s.mu is held.
func (s *MemoryStore) loginsOf(key string) []PendingLogin {
	var list []PendingLogin
	for _, l := range s.logins {
		if l.Key == key {
			list = append(list, l)
		}
	}
	return list
}

// dropLogins drops the logins that have expired, and those for which also (nil:
// none) returns true; s.mu is held.
func (s *MemoryStore) dropLogins(also func(PendingLogin) bool) {
	now := s.now()
	s.logins = slices.DeleteFunc(s.logins, func(l PendingLogin) bool {
		return !now.Before(l.Login.Expires) || also != nil && also(l)
	})
}
