package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// A tenant that a test started with --until-eof ends when the test does, also when the
// test is killed: then the pipe to its standard input is closed.
func TestServe_UntilEOF_EndsWithStandardInput(t *testing.T) {
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	stdin, starter := io.Pipe()
	logged, stderr := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := make(chan int, 1)
	go func() {
		code <- (&program{args: []string{"serve", "--until-eof"}, stdin: stdin, stdout: io.Discard, stderr: stderr}).main(ctx)
		_ = stderr.Close()
	}()
	for lines := bufio.NewScanner(logged); lines.Scan(); {
		if strings.Contains(lines.Text(), "issuer http://localhost:") {
			_ = starter.Close()
		}
	}
	if got := <-code; got != 0 || ctx.Err() != nil {
		t.Errorf("it ends with %d, %v", got, ctx.Err())
	}
}

// unread is a standard input that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("standard input was read")
	return 0, io.EOF
}

// A tenant in the background often has an empty standard input.
func TestServe_WithoutUntilEOF_ReadsNoInput(t *testing.T) {
	t.Setenv("MOCKAUTH0_LISTEN", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logged, stderr := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- (&program{args: []string{"serve"}, stdin: unread{t}, stdout: io.Discard, stderr: stderr}).main(ctx)
		_ = stderr.Close()
	}()
	for lines := bufio.NewScanner(logged); lines.Scan(); {
		if strings.Contains(lines.Text(), "issuer http://localhost:") {
			cancel()
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("it ends with %d", got)
	}
}
