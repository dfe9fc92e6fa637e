package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/pkg/flow"
)

// lease is the owner's part of a row.
type lease struct {
	store    *Store
	key      string
	id       rowID
	owner    string // random, to identify this lease
	ttl      time.Duration
	revision atomic.Int64 // of the row, also if its grant was deleted
}

// unsynced lets a statement commit without waiting for the disk. A crash of the
// database may lose it. If a lease is lost in this way, so is everything later, such as
// the intent, or the intent is refused: its commit waits for the disk, and with it for
// all earlier ones. If a release is lost, the lease ends by itself.
const unsynced = `set_config('synchronous_commit', 'off', true)`

// Lock implements flow.Store. It takes the lease if it is free or has expired by
// the database's clock. An expiry further away than twice the ttl was written
// before that clock was set back, or by another server's clock, and counts as
// passed.
func (s *Store) Lock(ctx context.Context, key string, ttl time.Duration) (flow.Lease, error) {
	if ttl <= 0 {
		return nil, fmt.Errorf("postgres: lock %q for %v: the ttl must be positive", key, ttl)
	}
	l := &lease{store: s, key: key, id: idOf(key), owner: rand.Text(), ttl: ttl}
	if err := s.do(ctx, "lock", l.take); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *lease) take(ctx context.Context) error {
	s := l.store
	seen := s.seen[l.id.shard()].Load()
	var revision, saves int64
	var store string
	err := s.pool.QueryRow(ctx, `
		WITH clock AS (
			SELECT clock_timestamp() + make_interval(secs => $5::float8) AS now, make_interval(secs => $4::float8) AS ttl
		), taken AS (
			UPDATE tokend_grants g SET owner = $3::text, ends = clock.now + clock.ttl, ttl = clock.ttl FROM clock
			WHERE g.id = $1::bytea AND (g.owner IS NULL OR g.owner = $3::text OR g.ends <= clock.now OR g.ends > clock.now + 2 * g.ttl)
			RETURNING g.revision
		), made AS (
			INSERT INTO tokend_grants (id, key, shard, owner, ends, ttl)
			SELECT $1::bytea, $2::bytea, $6::smallint, $3::text, clock.now + clock.ttl, clock.ttl FROM clock WHERE NOT EXISTS (SELECT FROM taken)
			ON CONFLICT (id) DO NOTHING
			RETURNING revision
		)
		SELECT l.revision, s.saves, m.value, `+unsynced+` FROM (SELECT revision FROM taken UNION ALL SELECT revision FROM made) l
		JOIN tokend_shards s ON s.shard = $6::smallint JOIN tokend_meta m ON m.name = 'id'`,
		l.id[:], []byte(l.key), l.owner, l.ttl.Seconds(), s.skew().Seconds(), l.id.shard()).Scan(&revision, &saves, &store, nil)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("postgres: lock %q: %w", l.key, flow.ErrLocked)
	}
	if err != nil {
		return err
	}
	l.revision.Store(revision)
	return s.current(ctx, store, l.id.shard(), saves, seen)
}

// Key implements flow.Lease.
func (l *lease) Key() string { return l.key }

// Renew implements flow.Lease.
func (l *lease) Renew(ctx context.Context) error {
	return l.store.do(ctx, "renew", func(ctx context.Context) error {
		tag, err := l.store.pool.Exec(ctx, `
			UPDATE tokend_grants SET ends = clock_timestamp() + make_interval(secs => $3::float8) WHERE id = $1::bytea AND owner = $2::text`,
			l.id[:], l.owner, (l.ttl + l.store.skew()).Seconds())
		if err == nil && tag.RowsAffected() == 0 {
			return fmt.Errorf("postgres: renew %q: the lease was lost: %w", l.key, flow.ErrConflict)
		}
		return err
	})
}

// Release implements flow.Lease.
func (l *lease) Release(ctx context.Context) error {
	return l.store.do(ctx, "release", func(ctx context.Context) error {
		_, err := l.store.pool.Exec(ctx, `UPDATE tokend_grants SET owner = NULL WHERE id = $1::bytea AND owner = $2::text RETURNING `+unsynced, l.id[:], l.owner)
		return err
	})
}
