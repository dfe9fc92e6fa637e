// Package postgres stores grants in a PostgreSQL database, shared by the processes
// of several machines. Key, generation, state and revision of a grant are in the
// clear; everything else is sealed.
//
// Each operation is one statement and commits by itself. No statement depends on
// the state of a session, so that PgBouncer may give each one another connection;
// only Watch needs a connection of its own.
package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
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
	// Knows reports whether Open and Use know a key, or will when they meet it.
	Knows(id uint32) bool
}

// Options of [Open] and [Check].
type Options struct {
	Sealer    Sealer               // seals grants; required
	Password  string               // replaces that of the URL; may be empty
	MarkFiles []string             // the first that can be written has the counts, outside of the database; may be empty
	Skew      func() time.Duration // for tests: passed time, added to the database's clock; may be nil
}

// Store implements [example.com/tokend/pkg/flow.Store] and Watcher.
type Store struct {
	dsn  *dsn
	pool *pgxpool.Pool
	seal Sealer
	skew func() time.Duration
	id   string // from tokend_meta
	name string // of this process, for [Store.Processes]
	mark *mark  // nil: none
	seen [shards]atomic.Int64
	rows sync.Map // id to the highest revision of its grant that this process knows

	watching atomic.Pointer[watchState] // nil: Watch does not run
}

// limit is how long an operation takes at most. It is shorter than the deadline
// of pkg/flow, so that the error names the cause.
const limit = 4 * time.Second

// Open opens the store in the database at a URL, and creates its tables if there
// are none. If it is damaged, the error is
// [example.com/tokend/pkg/flow.ErrCorrupt]; if the database does not answer,
// [ErrUnreachable]. If it was sealed with another key, written by a newer version,
// is read-only, or another program has tables of the same names, Open returns
// another error. None of these is changed. If it is older than its mark, an older
// copy was restored: its grants have Restored set.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s, err := connect(url, o)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(url string, o Options) (*Store, error) {
	if o.Skew == nil {
		o.Skew = func() time.Duration { return 0 }
	}
	s := &Store{seal: o.Sealer, skew: o.Skew}
	var err error
	if s.dsn, err = parse(url, o.Password); err != nil {
		return nil, err
	}
	s.pool, err = pgxpool.NewWithConfig(context.Background(), s.dsn.pool) // connects when it is used
	if err != nil {
		return nil, wrap("open", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) error {
	if o.Sealer == nil {
		return errors.New("postgres: no sealer")
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		return opening(err)
	}
	s.nameProcess()
	var err error
	if s.mark, err = openMark(s.id, o.MarkFiles); err != nil {
		return err
	}
	if err := s.do(ctx, "open", s.checkAge); err != nil {
		return err
	}
	return s.Ping(ctx)
}

// ID returns the random id of the store.
func (s *Store) ID() string { return s.id }

// Ping reports whether the database answers, is still the one that was opened, has a
// key that this process knows, and is writable: it commits a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error {
		if _, err := s.followNow(ctx, 0); err != nil {
			return err
		}
		tag, err := s.pool.Exec(ctx, `
			INSERT INTO tokend_meta SELECT 'probe', clock_timestamp()::text FROM tokend_meta WHERE name = 'id' AND value = $1::text
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, s.id)
		if err == nil && tag.RowsAffected() == 0 {
			return replaced("was overwritten with another store", restart)
		}
		return err
	})
}

// Close closes all connections. The leases that this process holds expire.
func (s *Store) Close() error {
	s.pool.Close()
	return s.mark.close()
}
