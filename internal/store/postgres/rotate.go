package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/internal/hint"
)

// The key check in tokend_meta decides which key seals, and each row of tokend_shards
// repeats its id. Every statement that writes a sealed value locks one of these rows,
// if it has the id of the key that sealed the value; UseKey writes all of them. So the
// lock orders each write before UseKey's commit, or it finds the other id, writes
// nothing and runs again with the other key. After UseKey has committed, nothing
// is sealed with the former key, and Reseal finds every row that still has it.

// holdKey is a common table expression that locks the shard $1, if its key is $2.
func holdKey(strength string) string {
	return `held AS MATERIALIZED (SELECT shard FROM tokend_shards WHERE shard = $1::smallint AND key_id = $2::bigint ` + strength + `)`
}

const (
	toUpdate = "FOR NO KEY UPDATE" // then the statement counts a save
	toShare  = "FOR SHARE"
)

// errFormerKey is the error of a write that was sealed with the former key. [Store.do]
// runs the operation again.
var errFormerKey = errors.New("the store key was replaced")

// sealNow seals a value, and returns the id of the key that it used.
func (s *Store) sealNow(plain []byte, place []string) (sealed []byte, key int64, err error) {
	if sealed, err = s.seal.Seal(plain, place...); err != nil {
		return nil, 0, err
	}
	return sealed, s.keyOf(sealed), nil
}

// keyOf returns the id of the key that sealed a value, as in tokend_shards.
func (s *Store) keyOf(sealed []byte) int64 {
	id, _ := s.seal.KeyOf(sealed)
	return int64(id)
}

// follow opens the key check of a store, and uses its key.
func (s *Store) follow(check []byte, store string) error {
	plain, err := s.seal.Adopt(check, "meta", "keycheck", store)
	if err != nil || string(plain) != keyCheck {
		return hint.Errorf("give all replicas the same keyset (TOKEND_STORE_KEY_FILE), which has the key that seals the store; nothing was changed",
			"postgres: the database was sealed with another keyset")
	}
	return nil
}

// sameKey explains why nothing was written with a key: [errFormerKey] if another key
// seals now, which this process uses from then on. It returns nil if the key is not the
// reason.
func (s *Store) sameKey(ctx context.Context, shard int, key int64) error {
	now, err := s.followNow(ctx, shard)
	if err != nil || now == key {
		return err
	}
	return errFormerKey
}

// followNow uses the key that seals now, and returns its id.
func (s *Store) followNow(ctx context.Context, shard int) (key int64, err error) {
	var store, keycheck string
	err = s.pool.QueryRow(ctx, `
		SELECT i.value, k.value, s.key_id FROM tokend_meta i JOIN tokend_meta k ON k.name = 'keycheck' JOIN tokend_shards s ON s.shard = $1::smallint
		WHERE i.name = 'id'`, shard).Scan(&store, &keycheck, &key)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, replaced("has no store of this program any more", restart)
	}
	if err != nil {
		return 0, err
	}
	check, err := base64.StdEncoding.DecodeString(keycheck)
	switch {
	case store != s.id:
		return 0, replaced("was overwritten with another store", restart)
	case err != nil || s.keyOf(check) != key:
		return 0, damaged("tokend_shards has another key than the key check")
	}
	return key, s.follow(check, store)
}

const (
	askPayload = "key " // then a random word and the id of a key
	askLimit   = time.Second
	askPause   = 50 * time.Millisecond
)

// Lacks asks the processes that watch the store whether they have a key. It reports
// whether one has answered within a short time that it does not. A process that gets no
// notifications does not answer.
func (s *Store) Lacks(ctx context.Context, id uint32) (lacks bool, err error) {
	word := rand.Text()
	err = s.do(ctx, "ask for a key", func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT pg_notify($1::text, $2::text)`, s.channel(), fmt.Sprint(askPayload, word, " ", id))
		return err
	})
	for end := time.After(askLimit); err == nil && !lacks; {
		err = s.do(ctx, "ask for a key", func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tokend_meta WHERE name = 'lacks key' AND value = $1::text)`, word).Scan(&lacks)
		})
		select {
		case <-end:
			return lacks, err
		case <-ctx.Done():
			return lacks, cmp.Or(err, ctx.Err())
		case <-time.After(askPause):
		}
	}
	return lacks, err
}

// answer answers the question of Lacks if this process does not have the key.
func (s *Store) answer(ctx context.Context, question string) error {
	word, number, _ := strings.Cut(question, " ")
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil || s.seal.Knows(uint32(id)) {
		return nil //nolint:nilerr // of another version
	}
	return s.do(ctx, "answer", func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `INSERT INTO tokend_meta VALUES ('lacks key', $1::text) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, word)
		return err
	})
}

// UseKey makes a key the one that every process seals with.
func (s *Store) UseKey(ctx context.Context, id uint32) error {
	return s.do(ctx, "use a key", func(ctx context.Context) error {
		return s.inTx(ctx, func(tx pgx.Tx) error {
			return s.useKey(ctx, tx, id)
		})
	})
}

func (s *Store) useKey(ctx context.Context, tx pgx.Tx, id uint32) error {
	if _, err := tx.Exec(ctx, `UPDATE tokend_shards SET key_id = $1::bigint`, int64(id)); err != nil {
		return err
	}
	check, err := s.checkWith(ctx, id)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `UPDATE tokend_meta SET value = $1::text WHERE name = 'keycheck' AND EXISTS (SELECT FROM tokend_meta WHERE name = 'id' AND value = $2::text)`,
		base64.StdEncoding.EncodeToString(check), s.id)
	if err == nil && tag.RowsAffected() == 0 {
		return replaced("was overwritten with another store", restart)
	}
	return err
}

// checkWith returns the key check, sealed with a key. An operation of this process
// that meets the former key sets it back at any time.
func (s *Store) checkWith(ctx context.Context, id uint32) ([]byte, error) {
	for ctx.Err() == nil {
		if err := s.seal.Use(id); err != nil {
			return nil, err
		}
		check, key, err := s.sealNow([]byte(keyCheck), []string{"meta", "keycheck", s.id})
		if err != nil || key == int64(id) {
			return check, err
		}
	}
	return nil, ctx.Err()
}

// keyCheckNow returns the key check.
func (s *Store) keyCheckNow(ctx context.Context) (check []byte, err error) {
	err = s.do(ctx, "read the key", func(ctx context.Context) error {
		found, keycheck, err := read(ctx, s.pool)
		if err != nil {
			return err
		}
		if found.id != s.id {
			return replaced("was overwritten with another store", restart)
		}
		if check, err = base64.StdEncoding.DecodeString(keycheck); err != nil {
			return damaged("the key check is not base64")
		}
		return nil
	})
	return check, err
}

// SealingKey returns the id of the key that every process seals with.
func (s *Store) SealingKey(ctx context.Context) (uint32, error) {
	check, err := s.keyCheckNow(ctx)
	id, _ := s.seal.KeyOf(check)
	return id, err
}

// SealedWith counts the grants and logins by the key that sealed them.
func (s *Store) SealedWith(ctx context.Context) (count map[uint32]int, err error) {
	err = s.do(ctx, "count keys", func(ctx context.Context) error {
		if _, err := s.followNow(ctx, 0); err != nil {
			return err
		}
		count = map[uint32]int{}
		rows, err := s.pool.Query(ctx, `SELECT substring(sealed FROM 1 FOR 5) AS prefix, count(*)
			FROM (SELECT sealed FROM tokend_grants WHERE sealed IS NOT NULL UNION ALL SELECT sealed FROM tokend_logins) AS v GROUP BY prefix`)
		if err != nil {
			return err
		}
		var prefix []byte
		var n int
		_, err = pgx.ForEachRow(rows, []any{&prefix, &n}, func() error {
			if id, ok := s.seal.KeyOf(prefix); ok { // otherwise damaged
				count[id] += n
			}
			return nil
		})
		return err
	})
	return count, err
}

// resealPage is how many rows Reseal reads at once.
const resealPage = 64

// sealedTable is a table with sealed rows.
type sealedTable struct {
	name  string
	stale string // selects rows with another key than that of a prefix: the id, the shard, the value, and what its place is made of
	place func(id, key []byte, n, m int64) []string
}

func sealedTables() []sealedTable {
	return []sealedTable{
		{
			name: "tokend_grants", stale: `SELECT id, shard, sealed, key, revision, generation FROM tokend_grants`,
			place: func(_, key []byte, revision, generation int64) []string {
				return place(string(key), revision, generation)
			},
		},
		{
			name: "tokend_logins", stale: `SELECT id, get_byte(client, 0)::smallint, sealed, key, expires, 0::bigint FROM tokend_logins`,
			place: func(id, key []byte, expires, _ int64) []string {
				r := loginRow{id: rowID(id), key: key, expires: expires}
				return r.place()
			},
		},
	}
}

// stale is a row that has another key.
type stale struct {
	id, sealed []byte
	shard      int16
	place      []string
}

// Reseal seals each row again that has another key than new rows, while other
// processes use the store. It returns how many it sealed, and how many do not open.
// Each row is a statement of its own, so that others wait for one row at most.
func (s *Store) Reseal(ctx context.Context) (sealed, unreadable int, err error) {
	for _, t := range sealedTables() {
		for after := []byte{}; ; {
			rows, err := s.staleRows(ctx, t, after)
			if err != nil {
				return sealed, unreadable, err
			}
			for _, r := range rows {
				after = r.id
				plain, err := s.seal.Open(r.sealed, r.place...)
				if err != nil {
					unreadable++
					continue
				}
				did, err := s.resealRow(ctx, t, r, plain)
				if err != nil {
					return sealed, unreadable, err
				}
				if did {
					sealed++
				}
			}
			if len(rows) < resealPage {
				break
			}
		}
	}
	return sealed, unreadable, nil
}

func (s *Store) staleRows(ctx context.Context, t sealedTable, after []byte) (list []stale, err error) {
	check, err := s.keyCheckNow(ctx)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, "seal again", func(ctx context.Context) error {
		list = nil
		rows, err := s.pool.Query(ctx, t.stale+` WHERE sealed IS NOT NULL AND id > $1::bytea AND substring(sealed FROM 1 FOR 5) <> substring($2::bytea FROM 1 FOR 5)
			ORDER BY id LIMIT $3::int`, after, check, resealPage)
		if err != nil {
			return err
		}
		var r stale
		var key []byte
		var n, m int64
		_, err = pgx.ForEachRow(rows, []any{&r.id, &r.shard, &r.sealed, &key, &n, &m}, func() error {
			list = append(list, stale{bytes.Clone(r.id), bytes.Clone(r.sealed), r.shard, t.place(r.id, key, n, m)})
			return nil
		})
		return err
	})
	return list, err
}

// resealRow seals a row again, unless it was written since: then it has the key.
func (s *Store) resealRow(ctx context.Context, t sealedTable, r stale, plain []byte) (did bool, err error) {
	err = s.do(ctx, "seal again", func(ctx context.Context) error {
		sealed, key, err := s.sealNow(plain, r.place)
		if err != nil {
			return err
		}
		var held bool
		err = s.pool.QueryRow(ctx, `
			WITH `+holdKey(toShare)+`, done AS (
				UPDATE `+t.name+` v SET sealed = $5::bytea FROM held WHERE v.id = $3::bytea AND v.sealed = $4::bytea RETURNING v.id
			)
			SELECT EXISTS (SELECT FROM held), EXISTS (SELECT FROM done)`,
			r.shard, key, r.id, r.sealed, sealed).Scan(&held, &did)
		if err != nil || held {
			return err
		}
		return cmp.Or(s.sameKey(ctx, int(r.shard), key), errFormerKey)
	})
	return did, err
}
