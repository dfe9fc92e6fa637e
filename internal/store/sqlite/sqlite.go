// Package sqlite keeps grants in one SQLite file, shared by the processes of
// one machine. Generation, state and revision are in the clear for looking;
// everything else of a grant is sealed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
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
	Sealer   Sealer               // seals grants; required
	MarkFile string               // holds the highest revision outside the database, and those of others; "", and where it cannot be written: PATH.mark
	Skew     func() time.Duration // added to the store's clocks, for tests: time that has passed; nil adds nothing
	ClockSet func() time.Duration // added to the wall clock alone, for tests: by how much it was set; nil adds nothing
}

// Store implements [example.com/tokend/pkg/flow.Store].
type Store struct {
	db   *sql.DB
	seal Sealer
	skew func() time.Duration
	set  func() time.Duration
	boot func() time.Duration // sinceBoot
	id   string               // in meta
	seen atomic.Int64         // the highest revision that this process knows
	rows sync.Map             // key to the highest revision of its grant that this process knows

	// Of a database in a file; else zero.
	path  string
	file  fs.FileInfo // as it was opened
	alive *alive
	mark  *mark
}

// memory is the path of a database without a file.
const memory = ":memory:"

// busy is how long an operation waits for others' writes.
const busy = 5 * time.Second

// errBusy is the cause when the time of an operation is over.
var errBusy = fmt.Errorf("the database has been locked for %v", busy)

// Open opens the database at path (absolute, or ":memory:"), making it when
// there is none; its directory must exist. A damaged one is
// [example.com/tokend/pkg/flow.ErrCorrupt]; one that was sealed with another
// key or written by a newer version is an error too. None is changed by that.
// One that is older than its mark was put back: its grants are restored ones.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Sealer == nil {
		return nil, errors.New("sqlite: no sealer")
	}
	s := &Store{seal: o.Sealer, skew: orNone(o.Skew), set: orNone(o.ClockSet), boot: sinceBoot}
	err := s.open(ctx, path, o.MarkFile)
	if err != nil && s.db != nil {
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func orNone(skew func() time.Duration) func() time.Duration {
	if skew == nil {
		return func() time.Duration { return 0 }
	}
	return skew
}

// wallSkew is added to SQLite's clock.
func (s *Store) wallSkew() time.Duration { return s.skew() + s.set() }

// uptime is the time since the machine started. All processes of the machine share
// that clock, and it cannot be set. It is zero on a system without one: there the
// wall clock alone decides.
func (s *Store) uptime() time.Duration {
	if boot := s.boot(); boot > 0 {
		return boot + s.skew()
	}
	return 0
}

func (s *Store) open(ctx context.Context, path, markFile string) (err error) {
	if path == memory {
		if s.db, err = connect(path); err != nil {
			return err
		}
		if err := s.create(ctx); err != nil {
			return err
		}
		return s.checkAge(ctx)
	}
	if err := s.ensure(ctx, path); err != nil {
		return err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if s.db, err = connect(path); err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	s.path, s.file = path, file
	if err := s.checkFile(); err != nil { // it may have been replaced before SQLite opened it
		return err
	}
	if s.mark, err = openMark(markFile, path+".mark"); err != nil {
		return err
	}
	if err := s.checkAge(ctx); err != nil {
		return err
	}
	s.alive, err = openAlive(path + ".alive")
	return err
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

// do runs an operation: not on a file that is no longer the store's, and no
// longer than busy, however many other goroutines and processes are waiting.
func (s *Store) do(ctx context.Context, op string, f func(ctx context.Context) error) error {
	if err := s.checkFile(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, busy, errBusy)
	defer cancel()
	err := f(limited)
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(limited), errBusy) {
		return fmt.Errorf("sqlite: %s: %w", op, errBusy)
	}
	return err
}

// ID is the random id that the store was made with.
func (s *Store) ID() string { return s.id }

// Ping reports whether the database answers, is still the one that was opened,
// and can be written: it commits a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return wrap("ping", err)
		}
		defer func() { _ = tx.Rollback() }() // nothing after Commit
		if err := s.current(ctx, "ping", tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO meta VALUES ('probe', unixepoch('subsec'))
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
		if err != nil {
			return wrap("ping", err)
		}
		return wrap("ping", tx.Commit())
	})
}

// Close ends the use of the database. Others can take the leases that are held
// at once.
func (s *Store) Close() error { return errors.Join(wrap("close", s.db.Close()), s.alive.close()) }
