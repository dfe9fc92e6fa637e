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

// place binds a sealed grant to its row, so that neither another row's nor an
// older one of the same row opens there.
func place(key string, revision, generation int64) []string {
	return []string{"grants", "sealed", key, strconv.FormatInt(revision, 10), strconv.FormatInt(generation, 10)}
}

// Load implements flow.Store.
func (s *Store) Load(ctx context.Context, key string) (*flow.Grant, error) {
	var revision, generation int64
	var sealed []byte
	err := s.db.QueryRowContext(ctx, `SELECT revision, generation, sealed FROM grants WHERE key = ?`, key).
		Scan(&revision, &generation, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("sqlite: load %q: %w", key, flow.ErrNotFound)
	}
	if err != nil {
		return nil, wrap("load", err)
	}
	plain, err := s.seal.Open(sealed, place(key, revision, generation)...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: load %q: %w: %w", key, flow.ErrCorrupt, err)
	}
	g := &flow.Grant{}
	if err := json.Unmarshal(plain, g); err != nil { // the cause may quote a secret
		return nil, fmt.Errorf("sqlite: load %q: %w: it is no grant", key, flow.ErrCorrupt)
	}
	g.Revision = revision
	return g, nil
}

// Save implements flow.Store. Lease, revision and new row are one transaction.
func (s *Store) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	held, ok := l.(*lease)
	if !ok {
		return fmt.Errorf("sqlite: save %q under another store's lease: %w", l.Key(), flow.ErrConflict)
	}
	plain, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("sqlite: save %q: %w", held.key, err)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("save", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	if err := s.mayReplace(ctx, tx, held, g.Revision); err != nil {
		return err
	}
	var revision int64
	err = tx.QueryRowContext(ctx, `UPDATE meta SET value = value + 1 WHERE name = 'revision' RETURNING value`).Scan(&revision)
	if err != nil {
		return wrap("save", err)
	}
	sealed, err := s.seal.Seal(plain, place(held.key, revision, g.Generation)...)
	if err != nil {
		return fmt.Errorf("sqlite: save %q: %w", held.key, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO grants (key, revision, generation, state, saved, sealed)
		VALUES (?, ?, ?, ?, unixepoch('subsec'), ?)`, held.key, revision, g.Generation, string(g.State), sealed)
	if err != nil {
		return wrap("save", err)
	}
	if err := tx.Commit(); err != nil {
		return wrap("save", err)
	}
	g.Revision = revision
	return nil
}

// mayReplace is flow.ErrConflict unless the lease is held and the stored
// revision is the one that the new grant was made from.
func (s *Store) mayReplace(ctx context.Context, tx *sql.Tx, l *lease, from int64) error {
	var held bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM leases WHERE key = ? AND owner = ? AND ends > `+clock+`)`,
		l.key, l.owner, s.skew().Seconds()).Scan(&held)
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
	_, err := s.db.ExecContext(ctx, `DELETE FROM grants WHERE key = ?`, key)
	return wrap("delete", err)
}
