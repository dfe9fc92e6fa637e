package flow

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// bodyOf returns a replay of a body that can be read once, and a counter of its
// Close calls.
func bodyOf(text string) (*replay, *atomic.Int32) {
	closed := new(atomic.Int32)
	return newReplay(httptest.NewRequest("POST", "/", &watched{io.NopCloser(strings.NewReader(text)), closed})), closed
}

// A reader of the first attempt gets no data once the second has begun; data that
// was already read goes to the second.
func TestReplay_FirstReaderStops(t *testing.T) {
	r, closed := bodyOf("abcdef")
	first := r.first()
	if _, err := io.ReadFull(first, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if !r.rewind() {
		t.Fatal("three bytes are too many")
	}
	if n, err := first.Read(make([]byte, 3)); n != 0 || !errors.Is(err, errRewound) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := first.Close(); err != nil || closed.Load() != 0 {
		t.Errorf("%v; closed %d times with the rest to read", err, closed.Load())
	}
	second, err := r.second()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(second); err != nil || string(b) != "abcdef" {
		t.Errorf("%q, %v", b, err)
	}
	if err := second.Close(); err != nil || closed.Load() != 1 {
		t.Errorf("%v; closed %d times", err, closed.Load())
	}
}

// A body is closed when it is known not to be sent again and its reader has
// closed it.
func TestReplay_ClosesBody(t *testing.T) {
	for name, steps := range map[string]func(*replay){
		"closed first":  func(r *replay) { _ = r.first().Close(); r.finish() },
		"settled first": func(r *replay) { r.finish(); _ = r.first().Close() },
		"dropped":       func(r *replay) { _ = r.first().Close(); r.rewind(); r.cancel() },
	} {
		r, closed := bodyOf("x")
		if steps(r); closed.Load() != 1 {
			t.Errorf("%s: closed %d times", name, closed.Load())
		}
	}
	r, closed := bodyOf("x")
	if r.finish(); closed.Load() != 0 || r.rewind() {
		t.Errorf("closed %d times before its reader was done, or sent again", closed.Load())
	}
}
