package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"example.com/tokend/internal/durable"
)

// tailSize is how much of the files Tail reads, in bytes.
const tailSize = 256 << 10

// Tail returns the latest lines of the log, oldest first: those at the end of the file
// and, if it has just begun, of the one before.
func (l *Log) Tail() ([][]byte, error) {
	if l == nil {
		return nil, nil
	}
	var text []byte
	for n := 0; n <= 1 && len(text) < tailSize; n++ {
		b, err := endOf(older(l.path, n), tailSize-len(text))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		text = append(b, text...)
	}
	return bytes.FieldsFunc(text, func(r rune) bool { return r == '\n' }), nil
}

// endOf returns the lines at the end of a file, of at most max bytes.
func endOf(path string, max int) ([]byte, error) {
	f, fi, err := durable.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	from := fi.Size() - int64(max)
	if from <= 0 {
		return io.ReadAll(io.LimitReader(f, int64(max)))
	}
	b := make([]byte, max)
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	_, b, _ = bytes.Cut(b[:n], []byte("\n")) // the first line is cut
	return b, nil
}
