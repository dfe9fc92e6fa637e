package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"example.com/tokend/pkg/flow"
)

// clock is the store's: Unix seconds, the same for all who share the file. Its
// parameter is what tests add to it.
const clock = `(unixepoch('subsec') + ?)`

// lease is the owner's half of a row in leases.
type lease struct {
	store *Store
	key   string
	owner string // random, so that nobody else's lease is ever taken for it
	ttl   time.Duration
}

// Lock implements flow.Store: one statement takes the lease where it is free
// or has run out. An end further away than twice its ttl was written before
// the clock was set back, and counts as run out too; less is waited for, lest
// a small correction of the clock break a lease that is in use.
func (s *Store) Lock(ctx context.Context, key string, ttl time.Duration) (flow.Lease, error) {
	if ttl <= 0 {
		return nil, fmt.Errorf("sqlite: lock %q for %v: the ttl must be positive", key, ttl)
	}
	skew := s.skew().Seconds()
	l := &lease{store: s, key: key, ttl: ttl}
	err := s.db.QueryRowContext(ctx, `
		INSERT INTO leases (key, owner, ends, ttl)
		VALUES (?1, lower(hex(randomblob(16))), unixepoch('subsec') + ?2 + ?3, ?3)
		ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, ends = excluded.ends, ttl = excluded.ttl
		WHERE leases.ends <= unixepoch('subsec') + ?2 OR leases.ends > unixepoch('subsec') + ?2 + 2 * leases.ttl
		RETURNING owner`, key, skew, ttl.Seconds()).Scan(&l.owner)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("sqlite: lock %q: %w", key, flow.ErrLocked)
	}
	if err != nil {
		return nil, wrap("lock", err)
	}
	return l, nil
}

// Key implements flow.Lease.
func (l *lease) Key() string { return l.key }

// Renew implements flow.Lease.
func (l *lease) Renew(ctx context.Context) error {
	skew := l.store.skew().Seconds()
	r, err := l.store.db.ExecContext(ctx, `UPDATE leases SET ends = `+clock+` + ? WHERE key = ? AND owner = ? AND ends > `+clock,
		skew, l.ttl.Seconds(), l.key, l.owner, skew)
	if err != nil {
		return wrap("renew", err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return wrap("renew", err)
	}
	if n == 0 {
		return fmt.Errorf("sqlite: renew %q: the lease was lost: %w", l.key, flow.ErrConflict)
	}
	return nil
}

// Release implements flow.Lease.
func (l *lease) Release(ctx context.Context) error {
	_, err := l.store.db.ExecContext(ctx, `DELETE FROM leases WHERE key = ? AND owner = ?`, l.key, l.owner)
	return wrap("release", err)
}
