package main

import (
	"bufio"
	"context"
	"io"
)

// lineReader reads lines of standard input. A read that was given up is not lost: the
// next one gets its line.
type lineReader struct {
	from    *bufio.Reader
	pending chan lineResult
}

type lineResult struct {
	text string
	err  error
}

// maxInput bounds what is read of standard input by one command.
const maxInput = 1 << 20

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{from: bufio.NewReader(io.LimitReader(r, maxInput))}
}

// next returns the next line, or what ends ctx.
func (l *lineReader) next(ctx context.Context) (string, error) {
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
