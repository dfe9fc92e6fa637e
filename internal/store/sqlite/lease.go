package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"example.com/tokend/pkg/flow"
)

// lease is the owner's half of a row in leases.
type lease struct {
	store *Store
	key   string
	owner string // random, so that nobody else's lease is ever taken for it
	ttl   time.Duration
}

// Lock implements flow.Store: it takes the lease when it is free, has run out,
// or its holder's process has ended.
func (s *Store) Lock(ctx context.Context, key string, ttl time.Duration) (flow.Lease, error) {
	if ttl <= 0 {
		return nil, fmt.Errorf("sqlite: lock %q for %v: the ttl must be positive", key, ttl)
	}
	l := &lease{store: s, key: key, ttl: ttl}
	err := s.do(ctx, "lock", func(ctx context.Context) error {
		if err := s.current(ctx, "lock", s.db); err != nil {
			return err
		}
		holder, err := s.alive.holder()
		if err != nil {
			return err
		}
		err = l.takeFree(ctx, holder)
		if errors.Is(err, sql.ErrNoRows) {
			err = l.takeFromDead(ctx, holder)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("sqlite: lock %q: %w", key, flow.ErrLocked)
		}
		return wrap("lock", err)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// takeFree takes a lease that is free or has run out, or is sql.ErrNoRows. The
// clock is SQLite's, in Unix seconds, the same for all who share the file. An
// end further away than twice its ttl was written before the clock was set
// back, and counts as run out too. One that is nearer is waited for: a small
// correction of the clock must not break a lease that is in use.
func (l *lease) takeFree(ctx context.Context, holder string) error {
	return l.store.db.QueryRowContext(ctx, `
		INSERT INTO leases (key, owner, ends, ttl, holder)
		VALUES (?1, lower(hex(randomblob(16))), unixepoch('subsec') + ?2 + ?3, ?3, ?4)
		ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, ends = excluded.ends, ttl = excluded.ttl, holder = excluded.holder
		WHERE leases.ends <= unixepoch('subsec') + ?2 OR leases.ends > unixepoch('subsec') + ?2 + 2 * leases.ttl
		RETURNING owner`, l.key, l.store.skew().Seconds(), l.ttl.Seconds(), holder).Scan(&l.owner)
}

// takeFromDead takes the lease of a holder whose process has ended, or is
// sql.ErrNoRows. The owner is compared again, so that one successor wins.
func (l *lease) takeFromDead(ctx context.Context, holder string) error {
	db := l.store.db
	var owner, other string
	if err := db.QueryRowContext(ctx, `SELECT owner, holder FROM leases WHERE key = ?`, l.key).Scan(&owner, &other); err != nil {
		return err
	}
	if !l.store.alive.ended(other) {
		return sql.ErrNoRows
	}
	return db.QueryRowContext(ctx, `
		UPDATE leases SET owner = lower(hex(randomblob(16))), ends = unixepoch('subsec') + ?2 + ?3, ttl = ?3, holder = ?4
		WHERE key = ?1 AND owner = ?5
		RETURNING owner`, l.key, l.store.skew().Seconds(), l.ttl.Seconds(), holder, owner).Scan(&l.owner)
}

// Key implements flow.Lease.
func (l *lease) Key() string { return l.key }

// Renew implements flow.Lease.
func (l *lease) Renew(ctx context.Context) error {
	return l.store.do(ctx, "renew", func(ctx context.Context) error {
		r, err := l.store.db.ExecContext(ctx, `UPDATE leases SET ends = unixepoch('subsec') + ? WHERE key = ? AND owner = ?`,
			l.store.skew().Seconds()+l.ttl.Seconds(), l.key, l.owner)
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
	})
}

// Release implements flow.Lease.
func (l *lease) Release(ctx context.Context) error {
	return l.store.do(ctx, "release", func(ctx context.Context) error {
		_, err := l.store.db.ExecContext(ctx, `DELETE FROM leases WHERE key = ? AND owner = ?`, l.key, l.owner)
		return wrap("release", err)
	})
}
