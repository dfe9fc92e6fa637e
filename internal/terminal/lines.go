package terminal

import (
	"bufio"
	"context"
	"io"
)

// LineReader reads lines of standard input. A read that was given up is not lost: the
// next one gets its line.
type LineReader struct {
	from    *bufio.Reader
	pending chan lineResult
}

type lineResult struct {
	text string
	err  error
}

// maxInput bounds what one command reads of standard input.
const maxInput = 1 << 20

// NewLineReader returns a reader of r, at most 1 MiB of it.
func NewLineReader(r io.Reader) *LineReader {
	return &LineReader{from: bufio.NewReader(io.LimitReader(r, maxInput))}
}

// Next returns the next line, or what ends ctx.
func (l *LineReader) Next(ctx context.Context) (string, error) {
	if l.pending == nil {
		l.pending = make(chan lineResult, 1)
		go func(pending chan<- lineResult) { // ends with the process when nothing is typed
			text, err := l.from.ReadString('\n')
			pending <- lineResult{text, err}
		}(l.pending)
	}
	select {
	case r := <-l.pending:
		l.pending = nil
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
