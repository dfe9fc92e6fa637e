package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// position identifies the state of the database: the store's id, its highest
// revision, and the key check, whose key seals.
type position struct {
	id       string
	revision int64
	check    []byte
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readPosition reads meta. A missing row gives a zero field.
func readPosition(ctx context.Context, q querier) (position, error) {
	var id sql.NullString
	var revision sql.NullInt64
	var check []byte
	err := q.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE name = 'id'), (SELECT value FROM meta WHERE name = 'revision'),
		(SELECT value FROM meta WHERE name = 'keycheck')`).Scan(&id, &revision, &check)
	return position{id.String, revision.Int64, check}, err
}

// checkFile returns flow.ErrReplaced if the path no longer leads to the file that
// was opened. SQLite's writes to that file would be lost.
func (s *Store) checkFile() error {
	if s.file == nil {
		return nil
	}
	fi, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.replaced("was deleted")
	case err != nil:
		return fmt.Errorf("sqlite: %w", err)
	case !os.SameFile(fi, s.file):
		return s.replaced("was replaced by another file")
	}
	return nil
}

// checkPosition returns flow.ErrReplaced if the file has the content of another
// store, or is older than seen, the highest revision that this process knew
// before it read p.
func (s *Store) checkPosition(p position, seen int64) error {
	switch {
	case p.id != s.id:
		return s.replaced("was overwritten with another store")
	case p.revision < seen:
		return s.replaced(fmt.Sprintf("was restored to an older state (revision %d after %d)", p.revision, seen))
	}
	return nil
}

// current checks file and content, and records the revision. It follows a rotation of
// the keys: what the same transaction seals has the key of the key check.
func (s *Store) current(ctx context.Context, op string, q querier) error {
	seen := s.seen.Load()
	p, err := readPosition(ctx, q)
	if err != nil {
		return wrap(op, err)
	}
	if err := s.checkPosition(p, seen); err != nil {
		return err
	}
	s.note(p.revision)
	return s.followKey(p.check)
}

// known returns the highest revision of a key's grant that this process has seen.
func (s *Store) known(key string) int64 {
	revision, _ := s.rows.Load(key)
	n, _ := revision.(int64)
	return n
}

// noteRow records a revision for known.
func (s *Store) noteRow(key string, revision int64) {
	for {
		old, loaded := s.rows.LoadOrStore(key, revision)
		if n, _ := old.(int64); !loaded || n >= revision || s.rows.CompareAndSwap(key, old, revision) {
			return
		}
	}
}

// note records the highest revision that this process knows.
func (s *Store) note(revision int64) {
	for {
		seen := s.seen.Load()
		if revision <= seen || s.seen.CompareAndSwap(seen, revision) {
			return
		}
	}
}

func (s *Store) replaced(what string) error {
	return hint.Errorf("restart tokend", "sqlite: %s %s while it was in use: %w", s.path, what, flow.ErrReplaced)
}

// checkAge detects a restored older copy: the revision is below the mark, or the
// rows are older than meta says. The latter happens if the copy was written into
// the file while SQLite's log had newer pages. Then it marks all grants as
// restored, and continues revisions from the mark, so that none is used twice.
func (s *Store) checkAge(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("open", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	p, err := readPosition(ctx, tx)
	if err != nil {
		return wrap("open", err)
	}
	if p.id == "" {
		return damaged("its id is missing")
	}
	var marked int64
	if s.mark != nil {
		if marked, err = s.mark.read(p.id); err != nil {
			return err
		}
	}
	var noted, sum int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = 'revisions'), 0), (SELECT coalesce(sum(revision), 0) FROM grants)`).
		Scan(&noted, &sum)
	if err != nil {
		return wrap("open", err)
	}
	below := marked > p.revision
	if below {
		p.revision = marked
	}
	if below || sum < noted {
		if err := restore(ctx, tx, p.revision, sum); err != nil {
			return wrap("open", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return wrap("open", err)
	}
	s.id, s.opened = p.id, p.revision
	s.note(p.revision)
	return s.mark.raise(p.id, p.revision)
}

func restore(ctx context.Context, tx *sql.Tx, revision, sum int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE grants SET restored = 1`)
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'revision'`, revision)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'revisions'`, sum)
	}
	return err
}
