package flow

import (
	"context"
	"sync"
	"time"
)

// MemoryStore is a [Store] that forgets everything when the process ends.
type MemoryStore struct {
	Now func() time.Time // the clock of its leases; nil: time.Now. Not to be changed in use.

	mu     sync.Mutex
	grants map[string]*Grant
	leases map[string]*memoryLease
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{grants: map[string]*Grant{}, leases: map[string]*memoryLease{}}
}

type memoryLease struct {
	store *MemoryStore
	key   string
	ttl   time.Duration
	end   time.Time
}

func (s *MemoryStore) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// holds reports whether l is the lease in force; s.mu is held.
func (s *MemoryStore) holds(l *memoryLease) bool {
	return s.leases[l.key] == l && s.now().Before(l.end)
}

// Load implements [Store].
func (s *MemoryStore) Load(ctx context.Context, key string) (*Grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[key]
	if !ok {
		return nil, ErrNotFound
	}
	return g.clone(), nil
}

// Save implements [Store].
func (s *MemoryStore) Save(ctx context.Context, l Lease, g *Grant) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ml, ok := l.(*memoryLease)
	if !ok || ml.store != s || !s.holds(ml) {
		return ErrConflict
	}
	var revision int64
	if old := s.grants[ml.key]; old != nil {
		revision = old.Revision
	}
	if revision != g.Revision {
		return ErrConflict
	}
	g.Revision++
	s.grants[ml.key] = g.clone()
	return nil
}

// Delete implements [Store].
func (s *MemoryStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.grants, key)
	return nil
}

// Lock implements [Store].
func (s *MemoryStore) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[key]; l != nil && s.holds(l) {
		return nil, ErrLocked
	}
	l := &memoryLease{store: s, key: key, ttl: ttl, end: s.now().Add(ttl)}
	s.leases[key] = l
	return l, nil
}

// Key implements [Lease].
func (l *memoryLease) Key() string { return l.key }

// Renew implements [Lease].
func (l *memoryLease) Renew(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if !l.store.holds(l) {
		return ErrConflict
	}
	l.end = l.store.now().Add(l.ttl)
	return nil
}

// Release implements [Lease].
func (l *memoryLease) Release(context.Context) error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.store.leases[l.key] == l {
		delete(l.store.leases, l.key)
	}
	return nil
}
