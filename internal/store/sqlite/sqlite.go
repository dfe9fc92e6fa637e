// Package sqlite keeps grants in one SQLite file, shared by the processes of
// one machine. Generation, state and revision are in the clear for looking;
// everything else of a grant is sealed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Sealer encrypts values and binds each to the place that the names give: it
// opens nowhere else.
type Sealer interface {
	Seal(plain []byte, place ...string) ([]byte, error)
	Open(sealed []byte, place ...string) ([]byte, error)
}

// Options of [Open].
type Options struct {
	Sealer Sealer               // seals grants; required
	Skew   func() time.Duration // added to the store's clock, for tests; nil adds nothing
}

// Store implements [example.com/tokend/pkg/flow.Store].
type Store struct {
	db   *sql.DB
	seal Sealer
	skew func() time.Duration
}

// memory is the path of a database without a file.
const memory = ":memory:"

// busy is how long a statement waits for another process's write.
const busy = 5 * time.Second

// Open opens the database at path (absolute, or ":memory:"), making it when
// there is none; its directory must be there. A damaged one is
// [example.com/tokend/pkg/flow.ErrCorrupt]; one that was sealed with another
// key or written by a newer version is an error too. None is changed by that.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Sealer == nil {
		return nil, errors.New("sqlite: no sealer")
	}
	s := &Store{seal: o.Sealer, skew: o.Skew}
	if s.skew == nil {
		s.skew = func() time.Duration { return 0 }
	}
	if path != memory {
		if err := s.ensure(ctx, path); err != nil {
			return nil, err
		}
	}
	var err error
	if s.db, err = connect(path); err != nil {
		return nil, err
	}
	if path == memory {
		err = s.create(ctx)
	} else {
		err = s.check(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// connect has one connection: writers do not wait for one another inside
// SQLite, and a memory database is the same one for all.
func connect(path string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"synchronous(FULL)", // a commit is on disk when it returns
		"trusted_schema(OFF)",
	}}
	name := memory + "?" + q.Encode()
	if path != memory {
		u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode() + "&mode=rw"}
		name = u.String()
	}
	return connectTo(name)
}

func connectTo(name string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	return wrap("ping", s.db.QueryRowContext(ctx, `SELECT count(*) FROM meta WHERE name = 'keycheck'`).Scan(&n))
}

// Close ends the use of the database. Leases that are held run out.
func (s *Store) Close() error { return wrap("close", s.db.Close()) }
