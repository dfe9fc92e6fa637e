// Command tokend keeps OAuth grants alive and hands fresh access tokens to
// whatever runs on this machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"example.com/tokend/internal/harden"
)

func main() {
	_ = harden.Process() // a sandbox may forbid it
	process, end := context.WithCancel(context.Background())
	ctx, stop := signal.NotifyContext(process, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends at once
	p := program{name: filepath.Base(os.Args[0]), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, hangups: catchHangups(end)}
	os.Exit(p.run(ctx, os.Args[1:]))
}
