package sqlite

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"example.com/tokend/internal/hint"
)

// errLocked is tryLock's: another descriptor has the file's lock.
var errLocked = errors.New("the file is locked")

// alive is a locked file that shows other processes that this store is open. A
// lease names the file of its holder. The kernel frees the lock when the
// process ends in any way, and then the lease can be taken at once.
//
// A nil *alive, and one on a system without such locks, has no name: its leases
// end by release or by time.
type alive struct {
	dir string

	mu   sync.Mutex
	name string
	file *os.File
}

// openAlive makes a file in dir, which it makes too, and removes the files of
// processes that have ended.
func openAlive(dir string) (*alive, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if !fi.IsDir() || fi.Mode().Perm()&0o022 != 0 {
		return nil, hint.Errorf("remove it", "sqlite: %s is not a directory that only its owner can write to (%s)", dir, fi.Mode())
	}
	a := &alive{dir: dir}
	if err := a.create(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), a.close())
	}
	for _, e := range entries {
		a.ended(e.Name())
	}
	return a, nil
}

// create makes the own file under a new name. Another process that removes
// files without a lock may come between creation and lock; then the next name
// is tried. a.mu is held, or a is not shared yet.
func (a *alive) create() error {
	for range 100 {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		name := hex.EncodeToString(random[:])
		f, err := os.OpenFile(filepath.Join(a.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
		err = tryLock(f)
		switch {
		case err == nil && linked(f):
			a.name, a.file = name, f
			return nil
		case err == nil || errors.Is(err, errLocked):
			_ = f.Close() // its name is gone or about to go
		default: // no such locks on this system or file system: only time counts
			return errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	return fmt.Errorf("sqlite: no file of this process stays in %s", a.dir)
}

// linked reports whether f is still the file of its name.
func linked(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(fi, named)
}

// holder is the name for a new lease. When the own file was removed it makes
// another one, so that the new lease is not taken for a dead process's.
func (a *alive) holder() (string, error) {
	if a == nil {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil || linked(a.file) {
		return a.name, nil
	}
	old := a.file
	a.name, a.file = "", nil
	if err := errors.Join(old.Close(), a.create()); err != nil {
		return "", err
	}
	return a.name, nil
}

// ended reports whether the process of that name has ended, and removes its
// file. In doubt it has not.
func (a *alive) ended(name string) bool {
	if a == nil || a.unsupported() || !validName(name) {
		return false
	}
	f, err := os.OpenFile(filepath.Join(a.dir, name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only locked
	if tryLock(f) != nil {
		return false
	}
	_ = os.Remove(f.Name()) // a file that stays is removed at the next Open
	return true
}

// lives reports whether the process of that name is known to live: its file exists
// and is locked.
func (a *alive) lives(name string) bool {
	if a == nil || a.unsupported() || !validName(name) {
		return false
	}
	f, err := os.OpenFile(filepath.Join(a.dir, name), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only looked at
	return errors.Is(tryLock(f), errLocked)
}

func (a *alive) unsupported() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file == nil
}

// validName refuses what create did not make, so that no row of the database
// names a file elsewhere.
func validName(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 16
}

// close ends what the own leases rely on.
func (a *alive) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	f := a.file
	a.name, a.file = "", nil
	if linked(f) {
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
