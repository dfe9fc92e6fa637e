package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// Check checks the database at path as [Open] does, while others may use it, and
// changes nothing: it creates no database (fs.ErrNotExist if there is none), no
// log and no new schema.
func Check(ctx context.Context, path string, sealer Sealer) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := lostDatabase(path); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if fi.Size() == 0 || fi.Size()%pageSize != 0 {
		return badSize(fi.Size())
	}
	alone := !hasLog(path)
	err = inspect(ctx, path, sealer, alone)
	if err != nil && alone && hasLog(path) { // another process has opened it since
		err = inspect(ctx, path, sealer, false)
	}
	return err
}

func hasLog(path string) bool {
	_, err := os.Lstat(path + "-wal")
	return err == nil
}

// inspect reads a database without changing it. If no other process uses it
// (alone), there is no log, and SQLite would create one to read; immutable
// prevents that.
func inspect(ctx context.Context, path string, sealer Sealer, alone bool) error {
	q := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "trusted_schema(OFF)"}}
	if alone {
		q.Set("immutable", "1")
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := connectTo(name.String())
	if err != nil {
		return err
	}
	s := &Store{seal: sealer, db: db}
	_, err = s.inspect(ctx)
	return errors.Join(err, db.Close())
}
