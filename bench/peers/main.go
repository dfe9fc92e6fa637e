// Command peers compares mockauth0 with other mocks in one run, and prints a table with
// the ratios to the best of them and to the lower limit.
//
// The figures are CPU time of the server's process, not time: the machine may be shared.
// The mocks take turns, many times, so that what slows the machine slows all of them, and
// each figure is the median of its turns. It needs Linux, Node.js and what
// npm/package-lock.json pins; "make bench" installs that.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.IntVar(&o.rounds, "rounds", 15, "turns of each mock; 0: starts only")
	flag.IntVar(&o.ops, "ops", 60, "operations in a turn")
	flag.IntVar(&o.starts, "starts", 31, "starts of mockauth0 and of the gin program")
	out := flag.String("json", "", "write the results to this file, too")
	flag.Parse()
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(ctx, dir); err != nil {
		return err
	}
	mocks, err := programs(dir)
	if err != nil {
		return err
	}
	r := &results{Go: runtime.Version(), CPUs: runtime.NumCPU()}
	if o.rounds > 0 {
		if err := measureOperations(ctx, r, mocks, o); err != nil {
			return err
		}
	}
	if err := measureStarts(ctx, r, mocks, o); err != nil {
		return err
	}
	r.print(os.Stdout)
	if *out == "" {
		return nil
	}
	return r.write(*out)
}

// options are the size of a run.
type options struct{ rounds, ops, starts int }

// build builds the Go programs: mockauth0 as "make build" does, the others as anyone does.
func build(ctx context.Context, dir string) error {
	for _, p := range []struct{ dir, pkg, tags string }{
		{"..", "./cmd/mockauth0", "nomsgpack"}, {".", "./bare", ""}, {".", "./peers/mockoidc", ""}, {".", "./peers/limit", ""},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", p.tags, "-o", dir+"/", p.pkg) //nolint:gosec // constants, and a directory of ours
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return nil
}

// node returns the pinned Node.js, or the one of the system.
func node() string {
	if found, err := filepath.Glob("peers/npm/node_modules/node-*/bin/node"); err == nil && len(found) > 0 {
		return found[0]
	}
	return "node"
}
