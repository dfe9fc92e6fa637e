package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/pkg/flow"
)

// loginRow is a row of tokend_logins.
type loginRow struct {
	id      rowID
	key     []byte
	expires int64
	sealed  []byte
}

// place binds a sealed login to its row.
func (r *loginRow) place() []string {
	return []string{"logins", "sealed", hex.EncodeToString(r.id[:]), string(r.key), strconv.FormatInt(r.expires, 10)}
}

// loginID returns the id of a login's row.
func loginID(id string) rowID { return sha256.Sum256([]byte("login\x00" + id)) }

// KeepLogin implements flow.LoginKeeper.
func (s *Store) KeepLogin(ctx context.Context, l flow.PendingLogin) error {
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("postgres: keep a login of %q: %w", l.Key, err)
	}
	r := loginRow{id: loginID(l.Login.ID()), key: []byte(l.Key), expires: l.Login.Expires.UnixMicro()}
	client := idOf(l.Key)
	return s.do(ctx, "keep a login", func(ctx context.Context) error {
		var key int64
		if r.sealed, key, err = s.sealNow(plain, r.place()); err != nil {
			return err
		}
		var kept int
		err := s.pool.QueryRow(ctx, `
			WITH `+holdKey(toShare)+`, kept AS (
				INSERT INTO tokend_logins (id, key, client, expires, sealed)
				SELECT $3::bytea, $4::bytea, $5::bytea, $6::bigint, $7::bytea FROM held, tokend_meta WHERE name = 'id' AND value = $8::text
				ON CONFLICT (id) DO UPDATE SET seq = DEFAULT, key = excluded.key, client = excluded.client, expires = excluded.expires, sealed = excluded.sealed, taken = NULL
				RETURNING id
			), dropped AS (
				DELETE FROM tokend_logins WHERE id <> $3::bytea AND EXISTS (SELECT FROM kept) AND (`+expired("$10")+` OR client = $5::bytea AND seq NOT IN (
					SELECT seq FROM tokend_logins WHERE client = $5::bytea AND id <> $3::bytea ORDER BY seq DESC LIMIT $9::int - 1))
			)
			SELECT count(*) FROM kept`, client.shard(), key, r.id[:], r.key, client[:], r.expires, r.sealed, s.id, flow.MaxPendingLogins, s.skew().Seconds()).Scan(&kept)
		if err == nil && kept == 0 {
			return cmp.Or(s.sameKey(ctx, client.shard(), key), errFormerKey)
		}
		return err
	})
}

// expired is the condition for an expired login, by the database's clock and a
// parameter for the skew in seconds.
func expired(skew string) string {
	return "expires <= (extract(epoch FROM clock_timestamp()) + " + skew + "::float8) * 1e6"
}

// TakeLogin implements flow.LoginKeeper. It reads the row, so that one that does not
// open stays: it may open with a keyset that this process has not read yet. Then it
// takes the row under a name of its own, so that it can be run again if the
// connection is lost.
func (s *Store) TakeLogin(ctx context.Context, key, id string) (l flow.PendingLogin, err error) {
	taker := rand.Text()
	err = s.do(ctx, "take a login", func(ctx context.Context) error {
		l, err = s.takeLogin(ctx, key, id, taker)
		return err
	})
	return l, err
}

func (s *Store) takeLogin(ctx context.Context, key, id, taker string) (none flow.PendingLogin, err error) {
	r := loginRow{id: loginID(id)}
	err = s.pool.QueryRow(ctx, `SELECT key, expires, sealed FROM tokend_logins WHERE id = $1::bytea AND (key = $2::bytea OR $2::bytea = '')
		AND (taken IS NULL OR taken = $3::text) AND NOT `+expired("$4"), r.id[:], []byte(key), taker, s.skew().Seconds()).Scan(&r.key, &r.expires, &r.sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return none, fmt.Errorf("postgres: take a login: %w", flow.ErrNotFound)
	}
	if err != nil {
		return none, err
	}
	l, err := s.openLogin(&r)
	if err != nil {
		return none, err
	}
	tag, err := s.pool.Exec(ctx, `UPDATE tokend_logins SET taken = $2::text WHERE id = $1::bytea AND (taken IS NULL OR taken = $2::text)
		AND EXISTS (SELECT FROM tokend_meta WHERE name = 'id' AND value = $3::text)`, r.id[:], taker, s.id)
	if err != nil {
		return none, err
	}
	if tag.RowsAffected() == 0 {
		return none, fmt.Errorf("postgres: take a login: %w", flow.ErrNotFound)
	}
	// If this fails, the row is dropped when it expires.
	_, _ = s.pool.Exec(ctx, `DELETE FROM tokend_logins WHERE id = $1::bytea AND taken = $2::text`, r.id[:], taker)
	return l, nil
}

// openLogin returns flow.ErrCorrupt if the row cannot be read.
func (s *Store) openLogin(r *loginRow) (l flow.PendingLogin, err error) {
	plain, err := s.seal.Open(r.sealed, r.place()...)
	if err != nil {
		return l, fmt.Errorf("postgres: a login of %q: %w: %w", r.key, flow.ErrCorrupt, err)
	}
	if err := json.Unmarshal(plain, &l); err != nil || l.Key != string(r.key) || loginID(l.Login.ID()) != r.id { // the cause may quote a secret
		return flow.PendingLogin{}, fmt.Errorf("postgres: a login of %q: %w: it is not a login", r.key, flow.ErrCorrupt)
	}
	return l, nil
}

// PendingLogins implements flow.LoginKeeper. It leaves out a row that does not open.
func (s *Store) PendingLogins(ctx context.Context, key string) (list []flow.PendingLogin, err error) {
	client := idOf(key)
	err = s.do(ctx, "read logins", func(ctx context.Context) error {
		list = nil
		rows, err := s.pool.Query(ctx, `SELECT id, key, expires, sealed FROM tokend_logins
			WHERE client = $1::bytea AND taken IS NULL AND NOT `+expired("$2")+` ORDER BY seq`, client[:], s.skew().Seconds())
		if err != nil {
			return err
		}
		var r loginRow
		var id []byte
		_, err = pgx.ForEachRow(rows, []any{&id, &r.key, &r.expires, &r.sealed}, func() error {
			copy(r.id[:], id)
			if l, err := s.openLogin(&r); err == nil {
				list = append(list, l)
			}
			return nil
		})
		return err
	})
	return list, err
}

// DropLogins implements flow.LoginKeeper.
func (s *Store) DropLogins(ctx context.Context, key string) error {
	client := idOf(key)
	return s.do(ctx, "drop logins", func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `DELETE FROM tokend_logins WHERE client = $1::bytea AND EXISTS (SELECT FROM tokend_meta WHERE name = 'id' AND value = $2::text)`, client[:], s.id)
		return err
	})
}
