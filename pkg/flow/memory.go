package flow

import (
	"context"
	"time"
)

// MemoryStore is a [Store] that forgets everything when the process ends.
type MemoryStore struct {
	Now func() time.Time // the clock of its leases; nil: time.Now. Not to be changed in use.
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{} }

// Load implements [Store].
func (s *MemoryStore) Load(ctx context.Context, key string) (*Grant, error) { return nil, ErrNotFound }

// Save implements [Store].
func (s *MemoryStore) Save(ctx context.Context, l Lease, g *Grant) error { return errNotYet }

// Delete implements [Store].
func (s *MemoryStore) Delete(ctx context.Context, key string) error { return nil }

// Lock implements [Store].
func (s *MemoryStore) Lock(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	return nil, errNotYet
}
