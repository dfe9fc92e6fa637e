package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// shards is the number of rows in tokend_shards.
const shards = 256

// current checks that the database is still the store that was opened, and is not
// older than what this process knew before it read saves.
func (s *Store) current(ctx context.Context, store string, shard int, saves, seen int64) error {
	switch {
	case store != s.id:
		return replaced("was overwritten with another store", restart)
	case saves < seen:
		return s.markRestored(ctx, fmt.Sprintf("was restored to an older state (save %d after %d)", saves, seen))
	}
	s.note(shard, saves)
	return nil
}

// note records the count of a shard, here and in the mark.
func (s *Store) note(shard int, saves int64) {
	for {
		seen := s.seen[shard].Load()
		if saves <= seen {
			return
		}
		if s.seen[shard].CompareAndSwap(seen, saves) {
			// If the mark cannot be written now, a later save raises it.
			_ = s.mark.raise(shard, saves)
			return
		}
	}
}

// known returns the highest revision of a grant that this process has seen.
func (s *Store) known(id rowID) int64 {
	revision, _ := s.rows.Load(id)
	n, _ := revision.(int64)
	return n
}

// noteRow records a revision for known.
func (s *Store) noteRow(id rowID, revision int64) {
	for {
		old, loaded := s.rows.LoadOrStore(id, revision)
		if n, _ := old.(int64); !loaded || n >= revision || s.rows.CompareAndSwap(id, old, revision) {
			return
		}
	}
}

// markRestored marks the grants of an older copy in the database, so that no
// process sends their refresh tokens, and returns the error of this operation. The
// next one finds the marked grants.
func (s *Store) markRestored(ctx context.Context, what string) error {
	if err := s.checkAge(ctx); err != nil {
		return err
	}
	s.rows.Clear() // of the lost revisions; those of the copy are marked
	return replaced(what+" while it was in use", "log in, or resume the clients that did not refresh since: tokend resume NAME")
}

// checkAge detects a restored older copy: the count of a shard is below the mark,
// or below what this process knows. Then it marks the shard's grants as restored,
// and continues the count from the mark, so that no revision is used twice. A
// failover to a standby that has not received all commits is such a copy, too.
func (s *Store) checkAge(ctx context.Context) error {
	counts, err := s.counts(ctx)
	if err != nil {
		return err
	}
	lost := map[int]int64{} // shard to the highest known count
	for shard, marked := range s.mark.read() {
		if highest := max(s.seen[shard].Load(), marked); counts[shard] < highest {
			lost[shard] = highest
		} else {
			s.note(shard, counts[shard])
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return s.inTx(ctx, func(tx pgx.Tx) error {
		for shard, highest := range lost {
			if err := s.restore(ctx, tx, shard, highest); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) restore(ctx context.Context, tx pgx.Tx, shard int, highest int64) error {
	tag, err := tx.Exec(ctx, `UPDATE tokend_shards SET saves = $2::bigint WHERE shard = $1::smallint AND saves < $2::bigint`, shard, highest)
	if err != nil || tag.RowsAffected() == 0 { // another process was first
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE tokend_grants SET restored = true WHERE shard = $1::smallint AND sealed IS NOT NULL`, shard)
	if err == nil {
		_, err = tx.Exec(ctx, `SELECT pg_notify($1::text, '')`, s.channel())
	}
	return err
}

// counts returns the count of each shard.
func (s *Store) counts(ctx context.Context) ([shards]int64, error) {
	var list [shards]int64
	rows, err := s.pool.Query(ctx, `SELECT shard, saves FROM tokend_shards`)
	if err != nil {
		return list, err
	}
	found := 0
	var shard int16
	var saves int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &saves}, func() error {
		if shard < 0 || shard >= shards {
			return errors.New("unknown shard")
		}
		list[shard], found = saves, found+1
		return nil
	})
	if err == nil && found != shards {
		return list, damaged(fmt.Sprintf("tokend_shards has %d rows, not %d", found, shards))
	}
	return list, err
}

// inTx runs f in one transaction.
func (s *Store) inTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '3s'`); err != nil {
			return err
		}
		return f(tx)
	})
}
