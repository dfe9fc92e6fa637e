package postgres

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// mark is a small file on this machine with the highest count of each shard. If
// the database is below it, an older copy was restored, whose refresh tokens may
// already be used. Its lines have a fixed width, so that each is written by
// itself. Processes that share the file, and a power failure, may make a line too
// low, but never too high.
type mark struct{ file *os.File }

// markWidth is the width of a line: 19 digits and a newline.
const markWidth = 20

// openMark opens the file of a store at the first path that can be written,
// because the keyset's directory may be read-only. Without one there is no mark:
// then only the processes that were running notice an older copy.
func openMark(store string, paths []string) (*mark, error) {
	for _, path := range paths {
		f, err := os.OpenFile(path+"."+store, os.O_RDWR|os.O_CREATE, 0o600)
		switch {
		case err == nil:
			return &mark{f}, nil
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EROFS):
		default:
			return nil, fmt.Errorf("postgres: mark file: %w", err)
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// Marked returns the ids of the stores that have a mark at a path.
func Marked(path string) (ids []string) {
	if path == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+"."); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// read returns all counts. A line that is not a number is zero.
func (m *mark) read() (list [shards]int64) {
	if m == nil {
		return list
	}
	b := make([]byte, shards*markWidth)
	n, err := m.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return list
	}
	for i := range list {
		if end := (i + 1) * markWidth; end <= n {
			list[i] = parseMark(b[i*markWidth : end])
		}
	}
	return list
}

func parseMark(line []byte) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(string(line)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// raise writes the count of a shard, unless the file has a higher one.
func (m *mark) raise(shard int, saves int64) error {
	if m == nil {
		return nil
	}
	b, at := make([]byte, markWidth), int64(shard*markWidth)
	if n, _ := m.file.ReadAt(b, at); n == markWidth && parseMark(b) >= saves {
		return nil
	}
	_, err := m.file.WriteAt(fmt.Appendf(nil, "%019d\n", saves), at)
	return err
}

func (m *mark) close() error {
	if m == nil {
		return nil
	}
	return m.file.Close()
}
