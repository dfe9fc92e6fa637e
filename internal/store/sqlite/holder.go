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

// errLocked means that another descriptor has the lock of the file.
var errLocked = errors.New("the file is locked")

// alive is a locked file that shows other processes that this store is open. A
// lease names the file of its holder. The kernel releases the lock when the
// process ends, however it ends, and then the lease can be taken at once.
//
// A nil *alive, and one on a system without such locks, has no name: its leases
// end when they are released or expire.
type alive struct {
	dir string

	mu   sync.Mutex
	name string
	file *os.File
}

// openAlive creates a file in dir, and dir if needed, and removes the files of
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

// create creates the file under a new name. Another process that removes unlocked
// files may remove it before it is locked; then create tries another name. a.mu
// is held, or a is not shared yet.
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
			_, _ = fmt.Fprintln(f, os.Getpid()) // for people: without it the file works, too
			a.name, a.file = name, f
			return nil
		case err == nil || errors.Is(err, errLocked):
			_ = f.Close() // it was removed, or is about to be
		default: // no such locks on this system or file system: leases end only by time
			return errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	return fmt.Errorf("sqlite: the file of this process is always removed from %s", a.dir)
}

// linked reports whether the name of f still leads to f.
func linked(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(fi, named)
}

// holder returns the name for a new lease. If the file was removed, it creates
// another one, so that the lease does not look like that of a dead process.
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

// ended reports whether the process with that file has ended, and then removes
// the file. It returns false if that is not certain.
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
	defer func() { _ = f.Close() }() // locked only
	if tryLock(f) != nil {
		return false
	}
	_ = os.Remove(f.Name()) // otherwise the next Open removes it
	return true
}

// lives reports whether the process with that file is known to be alive: the file
// exists and is locked.
func (a *alive) lives(name string) bool {
	if a == nil || a.unsupported() || !validName(name) {
		return false
	}
	f, err := os.OpenFile(filepath.Join(a.dir, name), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // read only
	return errors.Is(tryLock(f), errLocked)
}

func (a *alive) unsupported() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file == nil
}

// validName accepts only names from create, so that a row of the database cannot
// name a file elsewhere.
func validName(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 16
}

// close removes the file.
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
