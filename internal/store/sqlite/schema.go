package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

const (
	application = 0x746f6b64 // "tokd", SQLite's application_id
	pageSize    = 4096
	keyCheck    = "tokend store" // sealed in meta when the database is made
)

// ensure creates the database file, completely or not at all, if there is none.
// An empty file is therefore always a damaged one, and is rejected like other
// damage that its size shows.
func (s *Store) ensure(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := lostDatabase(path); err != nil {
			return err
		}
		return s.make(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if fi.Size() == 0 || fi.Size()%pageSize != 0 {
		return badSize(fi.Size())
	}
	return nil
}

// lostDatabase rejects a log without its database.
func lostDatabase(path string) error {
	if !hasLog(path) {
		return nil
	}
	return hint.Errorf("put the database back, or move the log away",
		"sqlite: %s is missing, but its log %s-wal is there: %w", path, path, flow.ErrCorrupt)
}

func badSize(n int64) error {
	return damaged(fmt.Sprintf("its size of %d bytes is not one of whole pages", n))
}

// make creates the database under another name and links it into place. If
// another process was first, its database is kept.
func (s *Store) make(ctx context.Context, path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600, which SQLite's log inherits
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	tmp := f.Name()
	defer func() { _ = os.Remove(tmp) }() // the hard link remains
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	fresh := &Store{seal: s.seal}
	if fresh.db, err = connect(tmp); err != nil {
		return err
	}
	if err := errors.Join(fresh.create(ctx), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("sqlite: %w", err)
	}
	return wrap("make the database", durable.SyncDir(dir))
}

// create initializes an empty database.
func (s *Store) create(ctx context.Context) error {
	for _, pragma := range []string{
		fmt.Sprintf("page_size = %d", pageSize), "journal_mode = WAL", fmt.Sprintf("application_id = %d", application),
	} {
		if _, err := s.db.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return wrap("create", err)
		}
	}
	if err := s.migrate(ctx, 0); err != nil {
		return err
	}
	sealed, err := s.seal.Seal([]byte(keyCheck), "meta", "keycheck")
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO meta VALUES ('keycheck', ?)`, sealed)
	return wrap("create", err)
}

// check rejects, before anything is written, what inspect rejects and a database
// that is not writable.
func (s *Store) check(ctx context.Context) error {
	version, err := s.inspect(ctx)
	if err != nil {
		return err
	}
	if err := s.checkWritable(ctx); err != nil {
		return err
	}
	return s.migrate(ctx, version)
}

// inspect rejects a database of another program, of a newer version, damaged, or
// sealed with another key. It returns the schema's version.
func (s *Store) inspect(ctx context.Context) (version int, err error) {
	var app int
	if err := s.db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return 0, wrap("open", err)
	}
	if err := s.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return 0, wrap("open", err)
	}
	if app != application || version == 0 {
		return 0, hint.Errorf("use another file",
			"sqlite: the file is a database of another program (application_id %#x, user_version %d)", app, version)
	}
	if version > len(migrations) {
		return 0, tooNew(version)
	}
	var verdict string
	if err := s.db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return 0, wrap("open", err)
	}
	if verdict != "ok" {
		return 0, damaged(strconv.Quote(verdict)) // may quote the file's bytes
	}
	return version, s.checkKey(ctx)
}

// checkWritable writes and rolls back: SQLite opens a read-only file without an
// error, and begins transactions on it.
func (s *Store) checkWritable(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("open for writing", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = value WHERE name = 'revision'`)
	if err = errors.Join(err, tx.Rollback()); err != nil {
		if err := wrap("open for writing", err); errors.Is(err, ErrDisk) {
			return err
		}
		return hint.Errorf("make the file, its -wal and its -shm writable for the user that runs this program",
			"%w", wrap("open for writing", err))
	}
	return nil
}

// checkKey opens the value that was sealed when the database was created.
func (s *Store) checkKey(ctx context.Context) error {
	var sealed []byte
	err := s.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'keycheck'`).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return damaged("its key check is missing")
	}
	if err != nil {
		return wrap("open", err)
	}
	return s.followKey(sealed)
}

func tooNew(version int) error {
	return hint.Errorf("use the version that wrote it, or a newer one",
		"sqlite: the database has schema version %d, newer than the %d that this program knows", version, len(migrations))
}

func damaged(why string) error {
	return hint.Errorf("restore a backup, or move the file away and log in again; nothing was changed",
		"sqlite: the database is damaged: %s: %w", why, flow.ErrCorrupt)
}

// wrap names the operation and turns SQLite's codes for damage into
// flow.ErrCorrupt. A busy or locked database (5, 6) is not damaged.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if se := (*sqlite.Error)(nil); errors.As(err, &se) {
		switch se.Code() & 0xff {
		case 1, 11, 26: // SQLITE_ERROR (the schema is not what our statements need), _CORRUPT, _NOTADB
			return damaged(strconv.Quote(err.Error())) // may quote the file's bytes
		case 10, 13: // SQLITE_IOERR (a full disk, too, when the -wal or the -shm cannot grow), _FULL
			return hint.Errorf("free space on the disk of the database; if it has space, check the disk", "sqlite: %s: %w", op, diskError{err})
		}
	}
	return fmt.Errorf("sqlite: %s: %w", op, err)
}

// ErrDisk is an error of the disk: it is full, or fails. That may be over soon.
var ErrDisk = errors.New("the disk is full, or fails")

type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

// Is makes it [ErrDisk].
func (diskError) Is(target error) bool { return target == ErrDisk } //nolint:errorlint // the method that errors.Is calls
