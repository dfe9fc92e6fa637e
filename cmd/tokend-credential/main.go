// Command tokend-credential gives a running tokend's tokens to programs that run a
// helper for every request: git, Docker, Terraform, kubectl. It prints what
// "tokend token --format …" prints, and starts faster.
package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

func main() {
	p := program{
		name: filepath.Base(os.Args[0]), getenv: os.Getenv, now: time.Now,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}
