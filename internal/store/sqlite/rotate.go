package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"example.com/tokend/internal/hint"
)

// The key check in meta decides which key seals: each transaction that seals reads it
// first. So after UseKey has committed, no process seals with the previous key, and
// Reseal finds every row that still has it.

// followKey opens the key check and uses its key.
func (s *Store) followKey(check []byte) error {
	if in, _ := s.keys.Load().([]byte); in != nil && bytes.Equal(in, check) {
		return nil
	}
	plain, err := s.seal.Adopt(check, "meta", "keycheck")
	if err != nil || string(plain) != keyCheck {
		return hint.Errorf("use the keyset that it was created with, or that its keys were rotated to; nothing was changed",
			"sqlite: the database was sealed with another keyset")
	}
	s.keys.Store(check)
	return nil
}

// UseKey makes a key the one that every process seals with.
func (s *Store) UseKey(ctx context.Context, id uint32) error {
	err := s.write(ctx, "use a key", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.seal.Use(id); err != nil {
			return fmt.Errorf("sqlite: use a key: %w", err)
		}
		sealed, err := s.seal.Seal([]byte(keyCheck), "meta", "keycheck")
		if err != nil {
			return fmt.Errorf("sqlite: use a key: %w", err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'keycheck'`, sealed)
		return wrap("use a key", err)
	})
	s.keys.Store([]byte{}) // what is stored decides, also after an error
	return err
}

// SealingKey returns the id of the key that every process seals with.
func (s *Store) SealingKey(ctx context.Context) (id uint32, err error) {
	err = s.do(ctx, "read the key", func(ctx context.Context) error {
		p, err := readPosition(ctx, s.db)
		if err != nil {
			return wrap("read the key", err)
		}
		id, _ = s.seal.KeyOf(p.check)
		return nil
	})
	return id, err
}

// SealedWith counts the grants and logins by the key that sealed them.
func (s *Store) SealedWith(ctx context.Context) (count map[uint32]int, err error) {
	count = map[uint32]int{}
	err = s.do(ctx, "count keys", func(ctx context.Context) error {
		if err := s.current(ctx, "count keys", s.db); err != nil {
			return err
		}
		rows, err := s.db.QueryContext(ctx, `SELECT substr(sealed, 1, 5) AS prefix, count(*)
			FROM (SELECT sealed FROM grants UNION ALL SELECT sealed FROM logins) GROUP BY prefix`)
		if err != nil {
			return wrap("count keys", err)
		}
		defer func() { _ = rows.Close() }() // Err returns the error
		for rows.Next() {
			var prefix []byte
			var n int
			if err := rows.Scan(&prefix, &n); err != nil {
				return wrap("count keys", err)
			}
			if id, ok := s.seal.KeyOf(prefix); ok { // otherwise damaged
				count[id] += n
			}
		}
		return wrap("count keys", rows.Err())
	})
	return count, err
}

// resealPage is how many rows Reseal seals in one transaction: others wait for it.
const resealPage = 64

// Reseal seals each row again that has another key than new rows, while other
// processes use the store. It returns how many it sealed, and how many do not open.
func (s *Store) Reseal(ctx context.Context) (sealed, unreadable int, err error) {
	for _, t := range tables() {
		for after := int64(0); ; {
			page, bad, last, err := s.resealPage(ctx, t, after)
			sealed, unreadable = sealed+page, unreadable+bad
			if err != nil {
				return sealed, unreadable, err
			}
			if last == after {
				break
			}
			after = last
		}
	}
	return sealed, unreadable, nil
}

// table is a table with sealed rows.
type table struct {
	name, columns string // what a row's place is made of
	place         func(scan func(...any) error) (place []string, id int64, sealed []byte, err error)
}

func tables() []table {
	return []table{
		{name: "grants", columns: "key, revision, generation", place: func(scan func(...any) error) ([]string, int64, []byte, error) {
			var r row
			var id int64
			err := scan(&id, &r.sealed, &r.key, &r.revision, &r.generation)
			return place(r.key, r.revision, r.generation), id, r.sealed, err
		}},
		{name: "logins", columns: "id, key, expires", place: func(scan func(...any) error) ([]string, int64, []byte, error) {
			var r loginRow
			var id int64
			err := scan(&id, &r.sealed, &r.id, &r.key, &r.expires)
			return r.place(), id, r.sealed, err
		}},
	}
}

// stale is a row that has another key.
type stale struct {
	id     int64
	place  []string
	sealed []byte
}

// resealPage seals the next rows after a rowid, and returns the last one that it saw.
func (s *Store) resealPage(ctx context.Context, t table, after int64) (sealed, unreadable int, last int64, err error) {
	last = after
	err = s.write(ctx, "seal again", func(ctx context.Context, tx *sql.Tx) error {
		rows, err := s.staleRows(ctx, tx, t, after)
		if err != nil {
			return wrap("seal again", err)
		}
		for _, r := range rows {
			last = r.id
			plain, err := s.seal.Open(r.sealed, r.place...)
			if err != nil {
				unreadable++
				continue
			}
			b, err := s.seal.Seal(plain, r.place...)
			if err != nil {
				return fmt.Errorf("sqlite: seal again: %w", err)
			}
			if _, err := tx.ExecContext(ctx, `UPDATE `+t.name+` SET sealed = ? WHERE rowid = ?`, b, r.id); err != nil { //nolint:gosec // a table of ours
				return wrap("seal again", err)
			}
			sealed++
		}
		return nil
	})
	return sealed, unreadable, last, err
}

func (s *Store) staleRows(ctx context.Context, tx *sql.Tx, t table, after int64) (list []stale, err error) {
	p, err := readPosition(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT rowid, sealed, `+t.columns+` FROM `+t.name+ //nolint:gosec // a table of ours
		` WHERE rowid > ? AND substr(sealed, 1, 5) <> substr(?, 1, 5) ORDER BY rowid LIMIT ?`, after, p.check, resealPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		place, id, sealed, err := t.place(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, stale{id, place, sealed})
	}
	return list, rows.Err()
}
