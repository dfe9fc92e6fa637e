package flow

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// MemoryStore is a [Store] in memory. Its zero value is an empty store.
type MemoryStore struct {
	Now func() time.Time // the clock for leases; nil: time.Now. Set it before use.

	mu     sync.Mutex
	grants map[string]*Grant       // nil until the first Save
	saved  map[string]time.Time    // when each grant was saved
	leases map[string]*memoryLease // nil until the first Lock
	logins []PendingLogin          // oldest first
}

// Format implements [fmt.Formatter] and masks the grants for every verb.
func (*MemoryStore) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "grants in memory") }

var (
	_ Lister      = (*MemoryStore)(nil)
	_ LoginKeeper = (*MemoryStore)(nil)
)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

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

// owns reports whether l was neither released nor taken by another holder. s.mu
// is held. An expired lease still counts.
func (s *MemoryStore) owns(l *memoryLease) bool { return s.leases[l.key] == l }

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
	if !ok || ml.store != s || !s.owns(ml) {
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
	if s.grants == nil {
		s.grants, s.saved = map[string]*Grant{}, map[string]time.Time{}
	}
	s.grants[ml.key], s.saved[ml.key] = g.clone(), s.now()
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
	if ttl <= 0 {
		return nil, fmt.Errorf("flow: lock %q for %v: the ttl must be positive", key, ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[key]; l != nil && s.now().Before(l.end) {
		return nil, ErrLocked
	}
	l := &memoryLease{store: s, key: key, ttl: ttl, end: s.now().Add(ttl)}
	if s.leases == nil {
		s.leases = map[string]*memoryLease{}
	}
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
	if !l.store.owns(l) {
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
