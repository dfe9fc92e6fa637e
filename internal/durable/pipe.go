package durable

import (
	"errors"
	"io"
	"os"
	"time"
)

// pipePause is the time between reads of a pipe that has no writer yet.
const pipePause = 10 * time.Millisecond

var errSlowPipe = errors.New("the pipe was not written to its end in time")

// ReadPipe reads a pipe that [OpenAny] has opened until EOF: a named pipe,
// /dev/stdin or the file of a shell's process substitution. It waits for a writer, and
// fails after the time given. It reads at most one byte more than max.
func ReadPipe(f *os.File, max int64, wait time.Duration) ([]byte, error) {
	deadline := time.Now().Add(wait)
	_ = f.SetReadDeadline(deadline) // not every system has deadlines for pipes
	for {
		b, err := io.ReadAll(io.LimitReader(f, max+1))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), len(b) == 0 && err == nil && time.Now().After(deadline):
			return nil, errSlowPipe
		case len(b) > 0 || err != nil:
			return b, err
		}
		time.Sleep(pipePause) //nolint:forbidigo // no event to wait for: without a writer a read ends at once
	}
}
