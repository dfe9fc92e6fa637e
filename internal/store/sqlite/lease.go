package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"example.com/tokend/pkg/flow"
)

// lease is the owner's part of a row in leases.
type lease struct {
	store *Store
	key   string
	owner string // random, to identify this lease
	ttl   time.Duration
}

// Lock implements flow.Store. It takes the lease if it is free or has expired, or
// the process of its holder has ended.
func (s *Store) Lock(ctx context.Context, key string, ttl time.Duration) (flow.Lease, error) {
	if ttl <= 0 {
		return nil, fmt.Errorf("sqlite: lock %q for %v: the ttl must be positive", key, ttl)
	}
	l := &lease{store: s, key: key, ttl: ttl}
	err := s.doUnsynced(ctx, "lock", func(ctx context.Context, c *sql.Conn) error {
		if err := s.current(ctx, "lock", c); err != nil {
			return err
		}
		holder, err := s.alive.holder()
		if err != nil {
			return err
		}
		err = l.takeFree(ctx, c, holder)
		if errors.Is(err, sql.ErrNoRows) {
			err = l.takeOver(ctx, c, holder)
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

// takeFree takes a lease without a holder, otherwise it returns sql.ErrNoRows. A
// lease has two expiry times: one by SQLite's clock, in Unix seconds, and one in
// seconds since the machine started.
func (l *lease) takeFree(ctx context.Context, c *sql.Conn, holder string) error {
	return c.QueryRowContext(ctx, `
		INSERT INTO leases (key, owner, ends, ttl, holder, uptime)
		VALUES (?1, lower(hex(randomblob(16))), unixepoch('subsec') + ?2 + ?3, ?3, ?4, ?5)
		ON CONFLICT (key) DO NOTHING
		RETURNING owner`, l.key, l.store.wallSkew().Seconds(), l.ttl.Seconds(), holder, l.uptimeEnd()).Scan(&l.owner)
}

// uptimeEnd returns when the lease ends, by the machine's uptime, if it is taken
// or renewed now.
func (l *lease) uptimeEnd() float64 {
	if up := l.store.uptime(); up > 0 {
		return (up + l.ttl).Seconds()
	}
	return 0
}

// takeOver takes the lease of a holder that has lost it, otherwise it returns
// sql.ErrNoRows.
func (l *lease) takeOver(ctx context.Context, c *sql.Conn, holder string) error {
	uptime := l.store.uptime()
	former, err := l.read(ctx, c)
	if err != nil {
		return err
	}
	if !l.store.lost(former, uptime) {
		return sql.ErrNoRows
	}
	return l.replace(ctx, c, former, holder)
}

// holding is the holder's part of a row in leases.
type holding struct {
	owner, holder string
	ends, uptime  float64
	over          bool // expired by the wall clock
}

// read reads the row of a lease.
func (l *lease) read(ctx context.Context, c *sql.Conn) (h holding, err error) {
	err = c.QueryRowContext(ctx, `
		SELECT owner, holder, ends, uptime, ends <= unixepoch('subsec') + ?2 OR ends > unixepoch('subsec') + ?2 + 2 * ttl
		FROM leases WHERE key = ?1`, l.key, l.store.wallSkew().Seconds()).Scan(&h.owner, &h.holder, &h.ends, &h.uptime, &h.over)
	return h, err
}

// replace takes the lease from its previous holder. It returns sql.ErrNoRows if
// another process was first, or the holder has renewed the lease since.
func (l *lease) replace(ctx context.Context, c *sql.Conn, former holding, holder string) error {
	return c.QueryRowContext(ctx, `
		UPDATE leases SET owner = lower(hex(randomblob(16))), ends = unixepoch('subsec') + ?2 + ?3, ttl = ?3, holder = ?4, uptime = ?5
		WHERE key = ?1 AND owner = ?6 AND ends = ?7 AND uptime = ?8
		RETURNING owner`, l.key, l.store.wallSkew().Seconds(), l.ttl.Seconds(), holder, l.uptimeEnd(),
		former.owner, former.ends, former.uptime).Scan(&l.owner)
}

// lost reports whether a holder has lost its lease.
//
// If the process of the holder has ended, it loses the lease at once. If the
// process is known to be alive, it loses the lease after the ttl has passed both
// by the wall clock, which can be set, and by the clock since the machine's
// start, which cannot: then it was stopped, or could not renew, for that long.
// For any other holder the wall clock decides.
//
// An expiry further away than twice the ttl was written before the wall clock was
// set back, and counts as passed.
func (s *Store) lost(h holding, uptime time.Duration) bool {
	if s.alive.ended(h.holder) {
		return true
	}
	return h.over && (uptime.Seconds() >= h.uptime || !s.lives(h.holder))
}

// lives reports whether the process of a holder is known to be alive. A database
// in memory is used only by this process.
func (s *Store) lives(holder string) bool { return s.file == nil || s.alive.lives(holder) }

// Key implements flow.Lease.
func (l *lease) Key() string { return l.key }

// Renew implements flow.Lease.
func (l *lease) Renew(ctx context.Context) error {
	return l.store.doUnsynced(ctx, "renew", func(ctx context.Context, c *sql.Conn) error {
		r, err := c.ExecContext(ctx, `UPDATE leases SET ends = unixepoch('subsec') + ?, uptime = ? WHERE key = ? AND owner = ?`,
			l.store.wallSkew().Seconds()+l.ttl.Seconds(), l.uptimeEnd(), l.key, l.owner)
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
	return l.store.doUnsynced(ctx, "release", func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `DELETE FROM leases WHERE key = ? AND owner = ?`, l.key, l.owner)
		return wrap("release", err)
	})
}
