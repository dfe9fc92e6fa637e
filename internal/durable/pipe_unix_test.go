//go:build unix

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReadPipe(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"short": "a: b\n", "longer than a pipe holds": strings.Repeat("x", 1<<17)} {
		done := make(chan error, 1)
		go func() {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the reader
			if err == nil {
				_, err = w.WriteString(text)
				err = errors.Join(err, w.Close())
			}
			done <- err
		}()
		b, err := readPipe(t, pipe, 1<<20, time.Minute)
		if err != nil || string(b) != text {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if b, err := readPipe(t, pipe, 10, 30*time.Millisecond); b != nil || !errors.Is(err, errSlowPipe) {
		t.Errorf("without a writer: %q, %v", b, err)
	}
}

func readPipe(t *testing.T, path string, most int64, wait time.Duration) ([]byte, error) {
	t.Helper()
	f, _, err := OpenAny(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return ReadPipe(f, most, wait)
}
