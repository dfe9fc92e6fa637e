package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

type noSeal struct{}

func (noSeal) Seal(plain []byte, _ ...string) ([]byte, error)  { return plain, nil }
func (noSeal) Open(sealed []byte, _ ...string) ([]byte, error) { return sealed, nil }

func (noSeal) Adopt(sealed []byte, _ ...string) ([]byte, error) { return sealed, nil }
func (noSeal) Use(uint32) error                                 { return nil }
func (noSeal) KeyOf([]byte) (uint32, bool)                      { return 0, false }

// TestOpen_AnotherProcessWasFirst simulates that another process has created the
// database since this one checked.
func TestOpen_AnotherProcessWasFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.db")
	s := &Store{seal: noSeal{}}
	var first os.FileInfo
	for range 2 {
		if err := s.make(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = fi
		}
		if !os.SameFile(fi, first) {
			t.Error("the first database was replaced")
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("files %v (%v), want the database alone", entries, err)
	}
}

// TestMark_IsWrittenUnderLock: without the lock, one of two writers could lower
// the mark. A process that is stopped while it holds the lock does not block
// others.
func TestMark_IsWrittenUnderLock(t *testing.T) {
	m, err := openMark(filepath.Join(t.TempDir(), "mark"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.raise("store", 5); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(m.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := tryLock(f); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.raise("store", 6); !errors.Is(err, errLocked) {
		t.Errorf("raise = %v, want errLocked", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("raise took %v", d)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		store         string
		revision, now int64
	}{{"store", 4, 5}, {"store", 7, 7}, {"another", 1, 1}} {
		if err := m.raise(c.store, c.revision); err != nil {
			t.Fatal(err)
		}
		if got, err := m.read(c.store); err != nil || got != c.now {
			t.Errorf("after %s, %d the mark is %v (%v), want %d", c.store, c.revision, got, err, c.now)
		}
	}
}

// TestMark_Errors: the file cannot be opened or read.
func TestMark_Errors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir: "is a directory", filepath.Join(dir, "none", "mark"): "no such file"} {
		m := &mark{path: path}
		_, err := m.read("store")
		for op, err := range map[string]error{"read": err, "raise": m.raise("store", 1)} {
			if err == nil || !strings.Contains(err.Error(), "sqlite: mark file: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %v, want %q", op, err, want)
			}
		}
	}
}

// TestMigrate_AnotherProcessWasFirst: a process of a newer version has migrated
// the database since this one checked.
func TestMigrate_AnotherProcessWasFirst(t *testing.T) {
	s, err := Open(t.Context(), ":memory:", Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.migrate(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("migrate = %v, want it refused", err)
	}
}

// TestMark_IsBounded: the entries that were written longest ago are dropped.
func TestMark_IsBounded(t *testing.T) {
	m, err := openMark(filepath.Join(t.TempDir(), "mark"))
	if err != nil {
		t.Fatal(err)
	}
	raise := func(store string, revision int64) {
		if err := m.raise(store, revision); err != nil {
			t.Fatal(err)
		}
	}
	raise("used", 1)
	raise("unused", 1)
	for i := range int64(maxMarked + 10) {
		raise(fmt.Sprintf("%032d", i), math.MaxInt64)
		raise("used", i+2)
	}
	for store, want := range map[string]int64{"used": maxMarked + 11, "unused": 0, fmt.Sprintf("%032d", 9): 0, fmt.Sprintf("%032d", 12): math.MaxInt64} {
		if got, err := m.read(store); err != nil || got != want {
			t.Errorf("%s: the mark is %d (%v), want %d", store, got, err, want)
		}
	}
	if fi, err := os.Stat(m.path); err != nil || fi.Size() > maxMark/4 {
		t.Errorf("the file has %d bytes (%v)", fi.Size(), err)
	}
}

// TestMark_NotTruncated: a process was killed after it wrote the content and
// before it truncated the rest of a longer one.
func TestMark_NotTruncated(t *testing.T) {
	m := &mark{path: filepath.Join(t.TempDir(), "mark")}
	content := `{"stores":[{"store":"a","revision":5}]}` + "\n"
	if err := os.WriteFile(m.path, []byte(content+`vision":1}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := m.read("a"); err != nil || got != 5 {
		t.Errorf("the mark is %d (%v), want 5", got, err)
	}
}

// TestSave_BusyIsNotDamage checks SQLite's code for a busy database.
func TestSave_BusyIsNotDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokend.db")
	s, err := Open(t.Context(), path, Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	other, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := other.BeginTx(t.Context(), nil) // takes the lock
	if err != nil {
		t.Fatal(err)
	}
	err = s.Save(t.Context(), l, &flow.Grant{})
	if err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") || errors.Is(err, flow.ErrCorrupt) {
		t.Errorf("Save = %v, want it busy and not damaged", err)
	}
	if err := errors.Join(tx.Rollback(), other.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestPing_Writes: a read-only database is not ready.
func TestPing_Writes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokend.db"), Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	for query, ready := range map[string]bool{"PRAGMA query_only = 1": false, "PRAGMA query_only = 0": true} {
		if _, err := s.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); (err == nil) != ready {
			t.Errorf("%s: Ping = %v", query, err)
		}
	}
	var probe float64
	err = s.db.QueryRowContext(t.Context(), `SELECT value FROM meta WHERE name = 'probe'`).Scan(&probe)
	if err != nil || time.Since(time.Unix(int64(probe), 0)) > time.Hour {
		t.Errorf("the probe is %v (%v), want the time of the Ping", probe, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCommitsAreDurable: below FULL the log is not synced at commit, and a power
// failure undoes a successful Save.
func TestCommitsAreDurable(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokend.db"), Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "page_size": "4096"} {
		var got string
		if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSinceBoot: the clock advances and is not a wall clock. On a system without
// one it stays zero.
func TestSinceBoot(t *testing.T) {
	first := sinceBoot()
	if first == 0 {
		switch runtime.GOOS {
		case "darwin", "freebsd", "linux", "openbsd":
			t.Fatal("no clock")
		}
		return
	}
	for start := time.Now(); sinceBoot() == first; {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the clock stands still")
		}
	}
	if again := sinceBoot(); again < first || again > 20*365*24*time.Hour {
		t.Errorf("%v after %v", again, first)
	}
}

// TestLease_NoBootClock: the wall clock alone ends a lease.
func TestLease_NoBootClock(t *testing.T) {
	var passed atomic.Int64
	s, err := Open(t.Context(), ":memory:", Options{Sealer: noSeal{}, Skew: func() time.Duration { return time.Duration(passed.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.boot = func() time.Duration { return 0 }
	for _, c := range []struct {
		after  time.Duration
		locked bool
	}{{0, false}, {59 * time.Second, true}, {61 * time.Second, false}} {
		passed.Store(int64(c.after))
		if _, err := s.Lock(t.Context(), "a", time.Minute); errors.Is(err, flow.ErrLocked) != c.locked {
			t.Errorf("after %v: Lock = %v", c.after, err)
		}
	}
}

// TestLease_RenewedBeforeTakeover: a lease that looked expired is not taken if
// its holder renews it in that moment.
func TestLease_RenewedBeforeTakeover(t *testing.T) {
	var passed atomic.Int64
	s, err := Open(t.Context(), ":memory:", Options{Sealer: noSeal{}, Skew: func() time.Duration { return time.Duration(passed.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	holder, err := s.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	passed.Store(int64(time.Minute + time.Second))
	l := &lease{store: s, key: "a", ttl: time.Minute}
	var found holding
	err = s.doUnsynced(t.Context(), "lock", func(ctx context.Context, c *sql.Conn) (err error) {
		found, err = l.read(ctx, c)
		return err
	})
	if err != nil || !s.lost(found, s.uptime()) {
		t.Fatalf("%+v, %v: want it expired", found, err)
	}
	if err := holder.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = s.doUnsynced(t.Context(), "lock", func(ctx context.Context, c *sql.Conn) error {
		return l.replace(ctx, c, found, "")
	})
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("replace = %v, want sql.ErrNoRows", err)
	}
}

// TestLease_SavesStaySynced: a lease's writes are not synced, but every write after
// them is, even if their context has ended.
func TestLease_SavesStaySynced(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tokend.db"), Options{Sealer: noSeal{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	synced := func(after string) {
		t.Helper()
		var mode int
		if err := s.db.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&mode); err != nil || mode != 2 {
			t.Errorf("after %s: synchronous = %d, %v, want 2 (FULL)", after, mode, err)
		}
	}
	l, err := s.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	synced("Lock")
	ctx, cancel := context.WithCancel(t.Context())
	err = s.doUnsynced(ctx, "renew", func(ctx context.Context, c *sql.Conn) error {
		var mode int
		if err := c.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&mode); err != nil || mode != 1 {
			t.Errorf("of a lease: synchronous = %d, %v, want 1 (NORMAL)", mode, err)
		}
		cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	synced("a canceled Renew")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	synced("Release")
}
