package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// mark is a small file outside the database that holds the highest revision
// that was committed. A database below it was put back to an older state, in
// which refresh tokens may be spent. It is not synced: after a power cut it may
// be too low, never too high.
type mark struct {
	path string
	mu   sync.Mutex
}

// marked is the file's content.
type marked struct {
	Store    string `json:"store"` // the database's id: a mark of another store says nothing
	Revision int64  `json:"revision"`
}

// openMark uses the first path that can be written; the keyset's directory may
// be read-only.
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

// read returns the zero value when the file has no valid content: after a power
// cut it may be empty.
func (m *mark) read() (marked, error) {
	f, err := os.Open(m.path)
	if err != nil {
		return marked{}, fmt.Errorf("sqlite: mark file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return readMark(f)
}

func readMark(f *os.File) (marked, error) {
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return marked{}, fmt.Errorf("sqlite: mark file: %w", err)
	}
	var v marked
	if json.Unmarshal(b, &v) != nil {
		return marked{}, nil
	}
	return v, nil
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

// write replaces the content under the file's lock.
func (*mark) write(f *os.File, v marked) error {
	old, err := readMark(f)
	if err != nil || old.Store == v.Store && old.Revision >= v.Revision {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)))
}

// lockSoon waits a moment for the lock of f. A holder that keeps it longer is
// stopped, and must not stop the others: the next Save raises the mark as well.
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
		return nil // mu still keeps the goroutines of this process apart
	}
	return err
}
