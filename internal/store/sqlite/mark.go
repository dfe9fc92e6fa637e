package sqlite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// mark is a small file outside of the database with the highest committed
// revision. If the database is below it, an older copy was restored, whose
// refresh tokens may already be used. Databases that share a keyset share the
// file; each has its own entry. The file is not synced: after a power failure it
// may be too low, but never too high.
type mark struct {
	path string
	mu   sync.Mutex
}

// marked is the entry of one database.
type marked struct {
	Store    string `json:"store"` // the database's id
	Revision int64  `json:"revision"`
}

// maxMarked is the maximum number of entries. The one that was written longest
// ago is dropped.
const maxMarked = 64

// maxMark is the maximum size of the file.
const maxMark = 64 << 10

// openMark uses the first path that can be written, because the keyset's
// directory may be read-only.
func openMark(paths ...string) (*mark, error) {
	var errs error
	for _, path := range paths {
		if path == "" {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			return &mark{path: path}, f.Close()
		}
		errs = errors.Join(errs, err)
	}
	return nil, fmt.Errorf("sqlite: mark file: %w", errs)
}

// read returns the revision of a database. It is zero if the file has no entry
// for it, or no valid content, as after a power failure.
func (m *mark) read(store string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := os.Open(m.path)
	if err != nil {
		return 0, fmt.Errorf("sqlite: mark file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	_ = lockSoon(f)                  // a holder that keeps the lock is stopped and does not write
	list, err := readMarks(f)
	if err != nil {
		return 0, err
	}
	return revisionOf(list, store), nil
}

// Marked returns the ids of the databases in a mark file, none if it cannot be read.
func Marked(path string) (ids []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	list, err := readMarks(f)
	if err != nil {
		return nil
	}
	for _, v := range list {
		ids = append(ids, v.Store)
	}
	return ids
}

func revisionOf(list []marked, store string) int64 {
	for _, v := range list {
		if v.Store == store {
			return v.Revision
		}
	}
	return 0
}

// readMarks reads the file, in this or the former format, which had one database.
func readMarks(f *os.File) ([]marked, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxMark))
	if err != nil {
		return nil, fmt.Errorf("sqlite: mark file: %w", err)
	}
	var v struct {
		marked
		Stores []marked `json:"stores"`
	}
	// Not Unmarshal: the rest of a longer content may follow.
	if json.NewDecoder(bytes.NewReader(b)).Decode(&v) != nil {
		return nil, nil
	}
	if v.Store != "" {
		return []marked{v.marked}, nil
	}
	return v.Stores, nil
}

// raise writes a revision unless the file has a higher one of the same store.
func (m *mark) raise(store string, revision int64) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := os.OpenFile(m.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: mark file: %w", err)
	}
	err = lockSoon(f)
	if err == nil {
		err = m.write(f, marked{Store: store, Revision: revision})
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sqlite: mark file: %w", err)
	}
	return nil
}

// write puts v last in the file, under the file's lock, and keeps the other
// entries.
func (*mark) write(f *os.File, v marked) error {
	list, err := readMarks(f)
	if err != nil || revisionOf(list, v.Store) >= v.Revision {
		return err
	}
	list = append(slices.DeleteFunc(list, func(old marked) bool { return old.Store == v.Store }), v)
	b, err := json.Marshal(map[string][]marked{"stores": list[max(0, len(list)-maxMarked):]})
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)))
}

// lockSoon waits a short time for the lock of f. A holder that keeps it longer is
// stopped and must not block others: the next Save raises the mark again.
func lockSoon(f *os.File) error {
	const attempts, pause = 50, time.Millisecond
	var err error
	for range attempts {
		err = tryLock(f)
		if !errors.Is(err, errLocked) {
			break
		}
		<-time.After(pause)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // mu still serializes the goroutines of this process
	}
	return err
}
