package terminal

import (
	"context"
	"errors"
	"io"
	"testing"
)

// A line that comes after its login has ended is the next login's.
func TestLineReader_KeepsALineForTheNextLogin(t *testing.T) {
	r, w := io.Pipe()
	l := NewLineReader(r)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Next(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	go func() { _, _ = io.WriteString(w, "one\ntwo\n"); _ = w.Close() }()
	for _, want := range []string{"one\n", "two\n", ""} {
		if got, err := l.Next(t.Context()); got != want || (want == "") != errors.Is(err, io.EOF) {
			t.Errorf("%q, %v", got, err)
		}
	}
}
