package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"time"
)

const (
	watchPause = 5 * time.Second
	watchShare = 50 // a look takes at most one part in so many of the time
)

// Watch implements flow.Watcher: it asks SQLite from time to time whether another process
// has written. What was saved before the store was opened is not reported.
func (s *Store) Watch(ctx context.Context, changed func(key string)) error {
	w := watcher{store: s, changed: changed, revision: s.opened, spilled: s.spilled}
	for s.file != nil && ctx.Err() == nil { // no other process has a database in memory
		began := time.Now()
		w.look(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(max(watchPause, watchShare*time.Since(began))):
		}
	}
	<-ctx.Done()
	return nil
}

// watcher knows what was reported.
type watcher struct {
	store   *Store
	changed func(key string)

	conn     any   // whose data version it is
	version  int64 // changes with each commit of another connection
	revision int64 // the highest one
	sum      int64 // of the revisions of all grants
	logins   map[string]bool
	spilled  time.Time // when the spill directory was changed
	failed   bool
}

// look reports what has changed. An error is reported as a change of every grant, so that
// each client notices it, and so is its end.
func (w *watcher) look(ctx context.Context) {
	var keys []string
	err := w.store.do(ctx, "watch", func(ctx context.Context) (err error) {
		keys, err = w.changes(ctx)
		return err
	})
	if err != nil {
		w.conn = nil // the next look reads it again
	}
	if ctx.Err() != nil || errors.Is(err, errBusy) {
		return
	}
	if failed := err != nil; failed != w.failed {
		w.failed, keys = failed, []string{""}
	}
	if at := changedAt(w.store.spillDir); !at.Equal(w.spilled) {
		w.spilled, keys = at, append(keys, "")
	}
	for _, key := range keys {
		w.changed(key)
	}
}

// changedAt returns when a file in a directory was created or removed last; zero without a
// directory.
func changedAt(dir string) time.Time {
	fi, err := os.Stat(dir)
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}

// changes returns the keys of what other processes have saved, and "" if they have
// deleted grants.
func (w *watcher) changes(ctx context.Context) (keys []string, err error) {
	c, err := w.store.db.Conn(ctx)
	if err != nil {
		return nil, wrap("watch", err)
	}
	defer func() { _ = c.Close() }() // gives it back
	same, err := w.sameVersion(ctx, c)
	if same || err != nil {
		return nil, err
	}
	tx, err := c.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, wrap("watch", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if err := w.store.current(ctx, "watch", tx); err != nil {
		return nil, err
	}
	var revision, sum int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = 'revision'), 0), coalesce((SELECT value FROM meta WHERE name = 'revisions'), 0)`).
		Scan(&revision, &sum)
	if err != nil {
		return nil, wrap("watch", err)
	}
	if revision > w.revision {
		keys, err = column(ctx, tx, `SELECT key FROM grants WHERE revision > ?`, w.revision)
	} else if w.sum != 0 && sum != w.sum {
		keys = []string{""}
	}
	if err != nil {
		return nil, err
	}
	logins, err := w.newLogins(ctx, tx)
	if err != nil {
		return nil, err
	}
	w.revision, w.sum = revision, sum
	return append(keys, logins...), nil
}

// sameVersion reports whether no other connection has committed since the last call.
func (w *watcher) sameVersion(ctx context.Context, c *sql.Conn) (bool, error) {
	var conn any
	if err := c.Raw(func(dc any) error { conn = dc; return nil }); err != nil {
		return false, wrap("watch", err)
	}
	var version int64
	if err := c.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return false, wrap("watch", err)
	}
	same := conn == w.conn && version == w.version
	w.conn, w.version = conn, version
	return same, nil
}

// newLogins returns the keys of pending logins that were not reported.
func (w *watcher) newLogins(ctx context.Context, tx *sql.Tx) (keys []string, err error) {
	list, err := column(ctx, tx, `SELECT id || ' ' || key FROM logins`)
	if err != nil {
		return nil, err
	}
	pending := make(map[string]bool, len(list))
	for _, l := range list {
		if pending[l] = true; !w.logins[l] {
			_, key, _ := strings.Cut(l, " ")
			keys = append(keys, key)
		}
	}
	w.logins = pending
	return keys, nil
}

// column returns the only column of a query.
func column(ctx context.Context, tx *sql.Tx, query string, args ...any) (list []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, wrap("watch", err)
	}
	defer func() { _ = rows.Close() }() // Err returns the error
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, wrap("watch", err)
		}
		list = append(list, v)
	}
	return list, wrap("watch", rows.Err())
}
