package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"example.com/tokend/pkg/flow"
)

// loginRow is a row of logins.
type loginRow struct {
	id, key string
	expires int64
	sealed  []byte
}

// place binds a sealed login to its row.
func (r *loginRow) place() []string {
	return []string{"logins", "sealed", r.id, r.key, strconv.FormatInt(r.expires, 10)}
}

// loginID returns the id of a login's row: a hash, because the login's own id is a
// secret.
func loginID(id string) string {
	h := sha256.Sum256([]byte("login\x00" + id))
	return hex.EncodeToString(h[:])
}

// KeepLogin implements flow.LoginKeeper.
func (s *Store) KeepLogin(ctx context.Context, l flow.PendingLogin) error {
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("sqlite: keep a login of %q: %w", l.Key, err)
	}
	r := loginRow{id: loginID(l.Login.ID()), key: l.Key, expires: l.Login.Expires.UnixMicro()}
	return s.write(ctx, "keep a login", func(ctx context.Context, tx *sql.Tx) error {
		if r.sealed, err = s.seal.Seal(plain, r.place()...); err != nil {
			return fmt.Errorf("sqlite: keep a login of %q: %w", l.Key, err)
		}
		if err := s.dropExpired(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO logins (id, key, expires, sealed) VALUES (?, ?, ?, ?)`, r.id, r.key, r.expires, r.sealed)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM logins WHERE key = ?1 AND rowid NOT IN
				(SELECT rowid FROM logins WHERE key = ?1 ORDER BY rowid DESC LIMIT ?2)`, r.key, flow.MaxPendingLogins)
		}
		return wrap("keep a login", err)
	})
}

func (s *Store) dropExpired(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE expires <= (unixepoch('subsec') + ?) * 1e6`, s.wallSkew().Seconds())
	return wrap("drop expired logins", err)
}

// TakeLogin implements flow.LoginKeeper. A row that does not open stays, because it
// may open with a keyset that this process has not read yet.
func (s *Store) TakeLogin(ctx context.Context, key, id string) (l flow.PendingLogin, err error) {
	r := loginRow{id: loginID(id)}
	err = s.write(ctx, "take a login", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.dropExpired(ctx, tx); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `DELETE FROM logins WHERE id = ?1 AND ?2 IN (key, '') RETURNING key, expires, sealed`, r.id, key).
			Scan(&r.key, &r.expires, &r.sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("sqlite: take a login: %w", flow.ErrNotFound)
		}
		if err != nil {
			return wrap("take a login", err)
		}
		l, err = s.openLogin(&r)
		return err
	})
	return l, err
}

// openLogin returns flow.ErrCorrupt if the row cannot be read.
func (s *Store) openLogin(r *loginRow) (l flow.PendingLogin, err error) {
	plain, err := s.seal.Open(r.sealed, r.place()...)
	if err != nil {
		return l, fmt.Errorf("sqlite: a login of %q: %w: %w", r.key, flow.ErrCorrupt, err)
	}
	if err := json.Unmarshal(plain, &l); err != nil || l.Key != r.key || loginID(l.Login.ID()) != r.id { // the cause may quote a secret
		return flow.PendingLogin{}, fmt.Errorf("sqlite: a login of %q: %w: it is not a login", r.key, flow.ErrCorrupt)
	}
	return l, nil
}

// PendingLogins implements flow.LoginKeeper. It leaves out a row that does not open.
func (s *Store) PendingLogins(ctx context.Context, key string) (list []flow.PendingLogin, err error) {
	err = s.do(ctx, "read logins", func(ctx context.Context) error {
		if err := s.current(ctx, "read logins", s.db); err != nil {
			return err
		}
		rows, err := readLogins(ctx, s.db, `WHERE key = ? AND expires > (unixepoch('subsec') + ?) * 1e6`, key, s.wallSkew().Seconds())
		if err != nil {
			return wrap("read logins", err)
		}
		for _, r := range rows {
			if l, err := s.openLogin(&r); err == nil {
				list = append(list, l)
			}
		}
		return nil
	})
	return list, err
}

// rowser is a *sql.DB or a *sql.Tx.
type rowser interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readLogins(ctx context.Context, q rowser, where string, args ...any) (list []loginRow, err error) {
	rows, err := q.QueryContext(ctx, `SELECT id, key, expires, sealed FROM logins `+where+` ORDER BY rowid`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err returns the error
	for rows.Next() {
		var r loginRow
		if err := rows.Scan(&r.id, &r.key, &r.expires, &r.sealed); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// DropLogins implements flow.LoginKeeper.
func (s *Store) DropLogins(ctx context.Context, key string) error {
	return s.write(ctx, "drop logins", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE key = ?`, key)
		return wrap("drop logins", err)
	})
}

// write runs f in a transaction that writes, after the check of file and content.
func (s *Store) write(ctx context.Context, op string, f func(context.Context, *sql.Tx) error) error {
	return s.do(ctx, op, func(ctx context.Context) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return wrap(op, err)
		}
		defer func() { _ = tx.Rollback() }() // no effect after Commit
		if err := s.current(ctx, op, tx); err != nil {
			return err
		}
		if err := f(ctx, tx); err != nil {
			return err
		}
		return wrap(op, tx.Commit())
	})
}
