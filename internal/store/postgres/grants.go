package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/pkg/flow"
)

// rowID is the primary key of a grant's row.
type rowID [sha256.Size]byte

func idOf(key string) rowID { return sha256.Sum256([]byte(key)) }

// shard is the row of tokend_shards that counts the saves of this grant.
func (id rowID) shard() int { return int(id[0]) }

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
	id := idOf(key)
	known, seen := s.known(id), s.seen[id.shard()].Load()
	var store string
	var saves int64
	var revision, generation *int64
	var sealed []byte
	var restored *bool
	err := s.pool.QueryRow(ctx, `
		SELECT m.value, s.saves, g.revision, g.generation, g.sealed, g.restored
		FROM tokend_meta m JOIN tokend_shards s ON s.shard = $2::smallint
		LEFT JOIN tokend_grants g ON g.id = $1::bytea AND g.sealed IS NOT NULL
		WHERE m.name = 'id'`, id[:], id.shard()).Scan(&store, &saves, &revision, &generation, &sealed, &restored)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, replaced("has no store of this program any more", restart)
	}
	if err != nil {
		return nil, err
	}
	if err := s.current(ctx, store, id.shard(), saves, seen); err != nil {
		return nil, err
	}
	if revision == nil {
		return nil, fmt.Errorf("postgres: load %q: %w", key, flow.ErrNotFound)
	}
	if *revision < known {
		what := fmt.Sprintf("has an older grant again (revision %d after %d)", *revision, known)
		_, err := s.pool.Exec(ctx, `UPDATE tokend_grants SET restored = true WHERE id = $1::bytea AND revision = $2::bigint`, id[:], *revision)
		if err != nil {
			return nil, err
		}
		return nil, s.markRestored(ctx, what)
	}
	plain, err := s.seal.Open(sealed, place(key, *revision, *generation)...)
	if err != nil {
		// It is damaged, unless this process lacked the key that seals now.
		if _, err := s.followNow(ctx, id.shard()); err != nil {
			return nil, err
		}
		plain, err = s.seal.Open(sealed, place(key, *revision, *generation)...)
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: load %q: %w: %w", key, flow.ErrCorrupt, err)
	}
	g := &flow.Grant{}
	if err := json.Unmarshal(plain, g); err != nil { // the cause may quote a secret
		return nil, fmt.Errorf("postgres: load %q: %w: it is not a grant", key, flow.ErrCorrupt)
	}
	g.Revision, g.Restored = *revision, *restored
	s.noteRow(id, *revision)
	return g, nil
}

// Save implements flow.Store. One statement checks the key, the lease and the
// revision, writes the row, counts the save and notifies the other processes. Every
// statement that locks a shard and its grants locks the shard first.
//
// If the connection is lost, the statement may or may not have been
// committed. It is then run again: it changes nothing if it was committed, because
// the revision has changed, and the row tells whether it has the very bytes of
// this Save, or the same grant that a rotation of the keys has sealed again.
func (s *Store) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	held, ok := l.(*lease)
	if !ok {
		return fmt.Errorf("postgres: save %q under another store's lease: %w", l.Key(), flow.ErrConflict)
	}
	plain, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("postgres: save %q: %w", held.key, err)
	}
	// A revision that is above all that this process knows of the shard is not used
	// twice, even if an older copy of the database is restored.
	w := &write{lease: held, grant: g, plain: plain, from: g.Revision}
	if w.from == 0 {
		w.from = held.revision.Load() // of the deleted grant, or 0
	}
	w.revision = max(w.from, s.seen[held.id.shard()].Load()) + 1
	if err := s.do(ctx, "save", func(ctx context.Context) error { return s.save(ctx, w) }); err != nil {
		return err
	}
	g.Revision = w.revision
	held.revision.Store(w.revision)
	s.noteRow(held.id, w.revision)
	return nil
}

// write is a row that Save writes.
type write struct {
	lease          *lease
	grant          *flow.Grant
	from, revision int64 // of the row, before and after
	plain, sealed  []byte
	key            int64 // that sealed it
}

func (w *write) place() []string { return place(w.lease.key, w.revision, w.grant.Generation) }

func (s *Store) save(ctx context.Context, w *write) (err error) {
	if w.sealed == nil {
		if w.sealed, w.key, err = s.sealNow(w.plain, w.place()); err != nil {
			return err
		}
	}
	var saves int64
	err = s.pool.QueryRow(ctx, `
		WITH `+holdKey(toUpdate)+`, saved AS (
			UPDATE tokend_grants g
			SET revision = $6::bigint, generation = $7::bigint, state = $8::text, saved = clock_timestamp(), sealed = $9::bytea, restored = $10::bool
			FROM held WHERE g.id = $3::bytea AND g.owner = $4::text AND g.revision = $5::bigint AND (g.sealed IS NULL) = $11::bool
				AND EXISTS (SELECT FROM tokend_meta WHERE name = 'id' AND value = $12::text)
			RETURNING g.shard
		), counted AS (
			UPDATE tokend_shards s SET saves = GREATEST(s.saves + 1, $6::bigint) FROM saved WHERE s.shard = saved.shard
			RETURNING s.shard, s.saves
		)
		SELECT saves, pg_notify($13::text, shard || ' ' || saves || ' ' || $14::text)::text FROM counted`,
		w.lease.id.shard(), w.key, w.lease.id[:], w.lease.owner, w.from, w.revision, w.grant.Generation, string(w.grant.State), w.sealed, w.grant.Restored,
		w.grant.Revision == 0, s.id, s.channel(), payloadKey(w.lease.key)).Scan(&saves, nil)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.notSaved(ctx, w)
	}
	if err != nil {
		return err
	}
	s.note(w.lease.id.shard(), saves)
	return nil
}

// notSaved returns why a row was not written, or nil if an earlier run has written
// it.
func (s *Store) notSaved(ctx context.Context, w *write) error {
	var store string
	var owner *string
	var revision int64
	var sealed []byte
	err := s.pool.QueryRow(ctx, `
		SELECT m.value, g.owner, g.revision, g.sealed FROM tokend_meta m JOIN tokend_grants g ON g.id = $1::bytea
		WHERE m.name = 'id'`, w.lease.id[:]).Scan(&store, &owner, &revision, &sealed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("postgres: save %q: the lease was lost: %w", w.lease.key, flow.ErrConflict)
	case err != nil:
		return err
	case store != s.id:
		return replaced("was overwritten with another store", restart)
	case revision == w.revision && s.wrote(w, sealed):
		return nil
	case owner == nil || *owner != w.lease.owner:
		return fmt.Errorf("postgres: save %q: the lease was lost: %w", w.lease.key, flow.ErrConflict)
	}
	if err := s.sameKey(ctx, w.lease.id.shard(), w.key); err != nil {
		w.sealed = nil
		return err
	}
	if revision == w.from && (sealed == nil) == (w.grant.Revision == 0) {
		return errFormerKey // the store has begun to use this key since
	}
	if sealed == nil {
		revision = 0
	}
	return fmt.Errorf("postgres: save %q made from revision %d, stored is %d: %w", w.lease.key, w.grant.Revision, revision, flow.ErrConflict)
}

// wrote reports whether a row has the value of this Save, which may be sealed again.
func (s *Store) wrote(w *write, sealed []byte) bool {
	if bytes.Equal(sealed, w.sealed) {
		return true
	}
	if s.keyOf(sealed) == w.key {
		return false
	}
	plain, err := s.seal.Open(sealed, w.place()...)
	return err == nil && bytes.Equal(plain, w.plain)
}

// Delete implements flow.Store. The row stays, so that its revisions are not used
// again.
func (s *Store) Delete(ctx context.Context, key string) error {
	id := idOf(key)
	return s.do(ctx, "delete", func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `
			WITH held AS MATERIALIZED (
				SELECT shard FROM tokend_shards WHERE shard = $5::smallint `+toUpdate+`
			), deleted AS (
				UPDATE tokend_grants g SET sealed = NULL, generation = 0, state = '', saved = clock_timestamp(), restored = false
				FROM held WHERE g.id = $1::bytea AND g.sealed IS NOT NULL AND EXISTS (SELECT FROM tokend_meta WHERE name = 'id' AND value = $2::text)
				RETURNING g.shard
			), counted AS (
				UPDATE tokend_shards s SET saves = s.saves + 1 FROM deleted WHERE s.shard = deleted.shard RETURNING s.shard, s.saves
			)
			SELECT pg_notify($3::text, shard || ' ' || saves || ' ' || $4::text)::text FROM counted`,
			id[:], s.id, s.channel(), payloadKey(key), id.shard())
		return err
	})
}

// maxPayloadKey is the length of the longest key that fits into a notification.
const maxPayloadKey = 5000

// payloadKey encodes a key for a notification, which is text of at most 8000
// bytes. A longer key is "": any grant may have changed.
func payloadKey(key string) string {
	if len(key) > maxPayloadKey {
		return ""
	}
	return base64.RawStdEncoding.EncodeToString([]byte(key))
}
