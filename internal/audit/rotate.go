package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
)

// reopen opens the file at the path in place of the open one. The lock is held.
func (l *Log) reopen() error {
	f, err := l.open(l.path)
	if err != nil {
		l.drop()
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close() // nothing was written
		l.drop()
		return err
	}
	l.drop()
	l.file, l.size, l.looked, l.torn = f, fi.Size(), l.now(), endsInMiddle(l.path, fi.Size())
	return nil
}

// drop closes the open file. Its entries were written.
func (l *Log) drop() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// endsInMiddle reports whether the last line of a file has no end, as after the machine
// has lost power.
func endsInMiddle(path string, size int64) bool {
	if size == 0 {
		return false
	}
	f, _, err := durable.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	last := make([]byte, 1)
	_, err = f.ReadAt(last, size-1)
	return err == nil && last[0] != '\n'
}

// look opens the file at the path if the open one is another, which another program has
// renamed or removed. The lock is held.
func (l *Log) look() error {
	if l.file == nil {
		return l.reopen()
	}
	open, err := l.file.Stat()
	if err != nil {
		return l.reopen()
	}
	l.looked, l.size = l.now(), open.Size()
	if named, err := os.Lstat(l.path); err != nil || !os.SameFile(open, named) {
		return l.reopen()
	}
	return nil
}

// rotate renames the full file, and opens a new one. If it cannot be renamed, it stays
// open. The lock is held.
func (l *Log) rotate() error {
	full := l.file
	if f, ok := full.(*os.File); ok { // another process may have the same file
		unlock := durable.Lock(f)
		defer func() {
			if l.file == full { // otherwise it is closed, which unlocks it
				unlock()
			}
		}()
	}
	if open, err := l.file.Stat(); err == nil {
		if named, err := os.Lstat(l.path); err != nil || !os.SameFile(open, named) {
			return l.reopen() // the other process was first
		}
	}
	_ = l.file.Sync() // the entries are written; this is the best time for the disk
	if err := l.shift(); err != nil {
		return fmt.Errorf("%s cannot be renamed: %w", l.path, durable.Cause(err))
	}
	return l.reopen()
}

// shift renames each file to the next number. The oldest one is replaced.
func (l *Log) shift() error {
	for n := l.keep; n > 0; n-- {
		err := os.Rename(older(l.path, n-1), older(l.path, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(filepath.Dir(l.path))
}

// older is the path of an older file; 0: of the current one.
func older(path string, n int) string {
	if n == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}
