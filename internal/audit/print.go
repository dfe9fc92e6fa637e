package audit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"example.com/tokend/internal/durable"
)

// poll is how often a followed file is read.
const poll = 200 * time.Millisecond

// maxLine bounds a line of the file: a longer one is not of an entry.
const maxLine = 64 << 10

// Print calls line with every line of the files, the oldest first. With follow it
// continues with new entries, also of files that are renamed, until ctx ends.
func Print(ctx context.Context, path string, keep int, follow bool, line func([]byte) error) error {
	r := reader{path: path, keep: keep, line: line}
	defer r.close()
	for n := keep; n >= 0; n-- {
		err := r.next(n)
		if errors.Is(err, fs.ErrNotExist) && (n > 0 || follow) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.drain(); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.follow(); err != nil {
			return err
		}
	}
}

// reader reads one file after the other.
type reader struct {
	path string
	keep int
	line func([]byte) error

	file *os.File
	in   *bufio.Reader
	part []byte // of a line whose end is not there yet
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // only read
	}
	r.file = nil
}

// next opens the file of a number.
func (r *reader) next(n int) error {
	f, _, err := durable.Open(older(r.path, n))
	if err != nil {
		return err
	}
	r.read(f)
	return nil
}

// read continues with a file.
func (r *reader) read(f *os.File) {
	r.close()
	r.file, r.in, r.part = f, bufio.NewReader(f), nil
}

// drain reads to the end of the open file.
func (r *reader) drain() error {
	if r.file == nil {
		return nil
	}
	for {
		b, err := r.in.ReadSlice('\n')
		r.part = append(r.part, b...)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull) && len(r.part) < maxLine:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			r.part = r.part[:0]
			continue
		case err != nil:
			return err
		}
		line := r.part[:len(r.part)-1]
		r.part = r.part[:0]
		if len(line) == 0 {
			continue
		}
		if err := r.line(line); err != nil {
			return err
		}
	}
}

// follow reads what was appended since, and then the files that began since.
func (r *reader) follow() error {
	for {
		n := r.number() // before the rest is read: a file that was renamed is complete
		if err := r.drain(); err != nil || n == 0 {
			return err
		}
		f, _, err := durable.Open(older(r.path, n-1))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it is being created
		case err != nil:
			return err
		case r.number() != n: // renamed again: f may be a later one
			_ = f.Close() // only read
			continue
		}
		r.read(f)
	}
}

// number is the number that the open file has now.
func (r *reader) number() int {
	if r.file == nil {
		return 1 // the current one is next
	}
	open, err := r.file.Stat()
	if err != nil {
		return 1
	}
	for n := range r.keep + 1 {
		if named, err := os.Lstat(older(r.path, n)); err == nil && os.SameFile(open, named) {
			return n
		}
	}
	return r.keep + 1 // renamed out of reach: the oldest is next
}
