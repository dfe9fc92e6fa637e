// Package sqlite stores grants in one SQLite file, shared by the processes of one
// machine. Generation, state and revision of a grant are in the clear; everything
// else is sealed.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
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

// Sealer encrypts values and binds each to the place that the names describe: it
// opens only there.
type Sealer interface {
	Seal(plain []byte, place ...string) ([]byte, error)
	Open(sealed []byte, place ...string) ([]byte, error)

	// Adopt opens a value, and from then on Seal uses the key of that value.
	Adopt(sealed []byte, place ...string) ([]byte, error)
	// Use lets Seal use a key.
	Use(id uint32) error
	// KeyOf returns the id of the key that sealed a value.
	KeyOf(sealed []byte) (id uint32, ok bool)
}

// Options of [Open].
type Options struct {
	Sealer   Sealer               // seals grants; required
	SpillDir string               // whose files are read with the grants: Watch reports a change of it; "": none
	MarkFile string               // has the highest revision, outside of the database; stores can share it; "" or not writable: PATH.mark
	Skew     func() time.Duration // for tests: passed time, added to the store's clocks; may be nil
	ClockSet func() time.Duration // for tests: by how much the wall clock was set; may be nil
}

// Store implements [example.com/tokend/pkg/flow.Store].
type Store struct {
	db       *sql.DB
	seal     Sealer
	skew     func() time.Duration
	set      func() time.Duration
	boot     func() time.Duration // sinceBoot
	id       string               // from meta
	opened   int64                // the highest revision when it was opened
	spillDir string               // see Options
	spilled  time.Time            // when that directory had changed last, when it was opened
	seen     atomic.Int64         // the highest revision that this process knows
	keys     atomic.Value         // the sealed key check ([]byte) whose key is in use
	rows     sync.Map             // key to the highest revision of its grant that this process knows

	// For a database in a file; otherwise zero.
	path  string
	file  fs.FileInfo // as it was opened
	alive *alive
	mark  *mark
}

// memory is the path of a database in memory.
const memory = ":memory:"

// busy is how long an operation waits for writes of others.
const busy = 5 * time.Second

// errBusy is the cause of an operation that timed out.
var errBusy = fmt.Errorf("the database has been locked for %v", busy)

// Open opens the database at path (absolute, or ":memory:") and creates it if
// there is none; its directory must exist. If it is damaged, the error is
// [example.com/tokend/pkg/flow.ErrCorrupt]; if it was sealed with another key or
// written by a newer version, Open returns another error. None of these is
// changed. If it is older than its mark, an older copy was restored: its grants
// have Restored set.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Sealer == nil {
		return nil, errors.New("sqlite: no sealer")
	}
	s := &Store{seal: o.Sealer, spillDir: o.SpillDir, skew: orNone(o.Skew), set: orNone(o.ClockSet), boot: sinceBoot}
	s.spilled = changedAt(s.spillDir)
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

// uptime returns the time since the machine started. All processes of the machine
// share that clock, and it cannot be set. It returns zero on a system without
// one: there the wall clock decides.
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

// connect opens one connection: writers do not wait for each other inside SQLite,
// and there is only one memory database.
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

// do runs an operation, for at most busy. It does not run it on a file that is no
// longer the store's.
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

// doUnsynced is do for writes of leases, which are not synced: a holder does not
// survive the power failure that would lose them, and the lease of an ended process
// is free. It saves a refresh two of four syncs. Save syncs what was written before.
func (s *Store) doUnsynced(ctx context.Context, op string, f func(context.Context, *sql.Conn) error) error {
	return s.do(ctx, op, func(ctx context.Context) (err error) {
		c, err := s.db.Conn(ctx)
		if err != nil {
			return wrap(op, err)
		}
		defer func() { _ = c.Close() }() // gives it back
		if s.file == nil {
			return f(ctx, c)
		}
		if _, err := c.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
			return wrap(op, err)
		}
		defer func() {
			if _, e := c.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = FULL"); e != nil {
				_ = c.Raw(func(any) error { return driver.ErrBadConn }) // closes it
				err = errors.Join(err, wrap(op, e))
			}
		}()
		return f(ctx, c)
	})
}

// ID returns the random id of the store.
func (s *Store) ID() string { return s.id }

// Ping reports whether the database answers, is still the one that was opened,
// and is writable: it commits a write.
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

// Close closes the database. Other processes can take the leases that it held at
// once.
func (s *Store) Close() error { return errors.Join(wrap("close", s.db.Close()), s.alive.close()) }
