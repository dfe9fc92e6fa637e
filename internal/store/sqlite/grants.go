package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"example.com/tokend/pkg/flow"
)

// place binds a sealed grant to its row, so that it does not open in another row
// or as an older version of the same row.
func place(key string, revision, generation int64) []string {
	return []string{"grants", "sealed", key, strconv.FormatInt(revision, 10), strconv.FormatInt(generation, 10)}
}

// Load implements flow.Store.
func (s *Store) Load(ctx context.Context, key string) (*flow.Grant, error) {
	var g *flow.Grant
	err := s.do(ctx, "load", func(ctx context.Context) (err error) {
		g, err = s.load(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (s *Store) load(ctx context.Context, key string) (*flow.Grant, error) {
	known := s.known(key)
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // a consistent view of meta and row
	if err != nil {
		return nil, wrap("load", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if err := s.current(ctx, "load", tx); err != nil {
		return nil, err
	}
	r, restored := row{key: key}, false
	err = tx.QueryRowContext(ctx, `SELECT revision, generation, sealed, restored FROM grants WHERE key = ?`, key).
		Scan(&r.revision, &r.generation, &r.sealed, &restored)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("sqlite: load %q: %w", key, flow.ErrNotFound)
	}
	if err != nil {
		return nil, wrap("load", err)
	}
	if r.revision < known {
		return nil, s.replaced(fmt.Sprintf("has an older grant again (revision %d after %d)", r.revision, known))
	}
	plain, err := s.seal.Open(r.sealed, place(key, r.revision, r.generation)...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: load %q: %w: %w", key, flow.ErrCorrupt, err)
	}
	g := &flow.Grant{}
	if err := json.Unmarshal(plain, g); err != nil { // the cause may quote a secret
		return nil, fmt.Errorf("sqlite: load %q: %w: it is not a grant", key, flow.ErrCorrupt)
	}
	g.Revision, g.Restored = r.revision, restored
	s.noteRow(key, r.revision)
	return g, nil
}

// Save implements flow.Store. It checks the lease and writes revision and row in
// one transaction.
func (s *Store) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	held, ok := l.(*lease)
	if !ok {
		return fmt.Errorf("sqlite: save %q under another store's lease: %w", l.Key(), flow.ErrConflict)
	}
	plain, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("sqlite: save %q: %w", held.key, err)
	}
	var revision int64
	err = s.do(ctx, "save", func(ctx context.Context) (err error) {
		revision, err = s.save(ctx, held, g, plain)
		return err
	})
	if err != nil {
		return err
	}
	g.Revision = revision
	s.note(revision)
	s.noteRow(held.key, revision)
	// The grant is durable. If the mark cannot be written now, a later Save raises it.
	_ = s.mark.raise(s.id, revision)
	return nil
}

func (s *Store) save(ctx context.Context, held *lease, g *flow.Grant, plain []byte) (revision int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, wrap("save", err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := s.current(ctx, "save", tx); err != nil {
		return 0, err
	}
	if err := s.mayReplace(ctx, tx, held, g.Revision); err != nil { // afterwards g.Revision is the stored one
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `UPDATE meta SET value = value + 1 WHERE name = 'revision' RETURNING value`).Scan(&revision)
	if err != nil {
		return 0, wrap("save", err)
	}
	sealed, err := s.seal.Seal(plain, place(held.key, revision, g.Generation)...)
	if err != nil {
		return 0, fmt.Errorf("sqlite: save %q: %w", held.key, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO grants (key, revision, generation, state, saved, sealed, restored)
		VALUES (?, ?, ?, ?, unixepoch('subsec'), ?, ?)`, held.key, revision, g.Generation, string(g.State), sealed, g.Restored)
	if err != nil {
		return 0, wrap("save", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = value + ? WHERE name = 'revisions'`, revision-g.Revision)
	if err != nil {
		return 0, wrap("save", err)
	}
	return revision, wrap("save", tx.Commit())
}

// mayReplace returns flow.ErrConflict unless the lease still has its owner and
// the new grant was made from the stored revision. The expiry of the lease does
// not matter: no other process can save until another holder takes it.
func (*Store) mayReplace(ctx context.Context, tx *sql.Tx, l *lease, from int64) error {
	var held bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM leases WHERE key = ? AND owner = ?)`, l.key, l.owner).Scan(&held)
	if err != nil {
		return wrap("save", err)
	}
	if !held {
		return fmt.Errorf("sqlite: save %q: the lease was lost: %w", l.key, flow.ErrConflict)
	}
	var stored int64
	err = tx.QueryRowContext(ctx, `SELECT revision FROM grants WHERE key = ?`, l.key).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return wrap("save", err)
	}
	if stored != from {
		return fmt.Errorf("sqlite: save %q made from revision %d, stored is %d: %w", l.key, from, stored, flow.ErrConflict)
	}
	return nil
}

// Delete implements flow.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.do(ctx, "delete", func(ctx context.Context) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return wrap("delete", err)
		}
		defer func() { _ = tx.Rollback() }() // no effect after Commit
		if err := s.current(ctx, "delete", tx); err != nil {
			return err
		}
		var revision int64
		err = tx.QueryRowContext(ctx, `DELETE FROM grants WHERE key = ? RETURNING revision`, key).Scan(&revision)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `UPDATE meta SET value = value - ? WHERE name = 'revisions'`, revision)
		}
		if err != nil {
			return wrap("delete", err)
		}
		return wrap("delete", tx.Commit())
	})
}
