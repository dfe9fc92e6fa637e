package tokenfile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// A reader always sees one complete token.
func TestReadersSeeWholeTokens(t *testing.T) {
	path := place(t)
	bodies := []string{strings.Repeat("a", 5000), strings.Repeat("b", 9000)}
	s := &tap{life: time.Hour, secret: func(n int) string { return bodies[n%2] }}
	f := mustNew(t, Config{Path: path}, s)
	if err := f.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	reads := make([]int, 2)
	for i := range reads {
		readers.Go(func() {
			for ctx.Err() == nil {
				b, err := os.ReadFile(path)
				if err != nil || string(b) != bodies[0] && string(b) != bodies[1] {
					t.Errorf("read %d bytes: %v", len(b), err)
					return
				}
				reads[i]++
			}
		})
	}
	for range 60 {
		s.force()
		if err := f.Once(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	readers.Wait()
	if reads[0] == 0 || reads[1] == 0 {
		t.Errorf("reads: %v", reads)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// A path that cannot be read is an error.
func TestUnreadablePath(t *testing.T) {
	f := mustNew(t, Config{Path: place(t) + strings.Repeat("x", 300)}, &tap{life: time.Hour})
	if err := f.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "file name too long") {
		t.Errorf("got %v", err)
	}
}

// A leftover of a killed process is removed; a file that another process is writing stays.
func TestStaleTemporaryFiles(t *testing.T) {
	path := place(t)
	dir := filepath.Dir(path)
	mkdir(t, dir)
	old, fresh, foreign := filepath.Join(dir, ".token.tokend-1"), filepath.Join(dir, ".token.tokend-2"), filepath.Join(dir, ".other.tokend-1")
	for _, p := range []string{old, fresh, foreign} {
		put(t, p, "x")
	}
	for _, p := range []string{old, foreign} {
		if err := os.Chtimes(p, time.Time{}, time.Now().Add(-2*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mustNew(t, Config{Path: path}, &tap{life: time.Hour}).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{old: false, fresh: true, foreign: true} {
		if _, err := os.Stat(p); (err == nil) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// A file that is up to date is not written again, so a restart runs no hook.
func TestUnchangedFileIsLeftAlone(t *testing.T) {
	path := place(t)
	ran := filepath.Join(t.TempDir(), "ran")
	s := &tap{life: time.Hour}
	c := Config{Path: path, Hook: []string{"/bin/sh", "-c", "echo >>" + ran}}
	for range 2 {
		if err := mustNew(t, c, s).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, ran); got != "\n" {
		t.Errorf("the hook ran %d times", len(got))
	}
	s.force()
	if err := mustNew(t, c, s).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, ran); got != "\n\n" {
		t.Errorf("the hook ran %d times after a change", len(got))
	}
}

// With HookAlways the hook runs the first time even if the file is up to date.
func TestHookAlways(t *testing.T) {
	path := place(t)
	ran := filepath.Join(t.TempDir(), "ran")
	s := &tap{life: time.Hour}
	for range 2 {
		f := mustNew(t, Config{Path: path, Hook: []string{"/bin/sh", "-c", "echo >>" + ran + "; exit 4"}, HookAlways: true}, s)
		if err := f.Once(t.Context()); !errors.Is(err, ErrHook) {
			t.Errorf("got %v", err)
		}
	}
	f := mustNew(t, Config{Path: path, Hook: []string{"/bin/sh", "-c", "echo >>" + ran}, HookAlways: true}, s)
	for range 2 { // the second is not owed
		if err := f.Once(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, ran); got != "\n\n\n" {
		t.Errorf("the hook ran %d times", len(got))
	}
}

// A hook that fails is run again with a growing delay until it succeeds, and the file
// is checked throughout.
func TestFailedHookIsRunAgain(t *testing.T) {
	path, dir := place(t), t.TempDir()
	ran, good := filepath.Join(dir, "ran"), filepath.Join(dir, "good")
	now, s := time.Now(), &tap{life: 24 * time.Hour}
	f := mustNew(t, Config{Path: path, Hook: []string{"/bin/sh", "-c", "echo >>" + ran + "; test -e " + good}, Now: func() time.Time { return now }}, s)
	look := func(over time.Duration) error {
		for end := now.Add(over); ; {
			err := f.refresh(t.Context())
			wait := f.next(err)
			if wait > poll {
				t.Fatalf("the file is not checked for %s", wait)
			}
			if now.Add(wait).After(end) {
				now = end
				return err
			}
			now = now.Add(wait)
		}
	}
	if err := look(3 * time.Minute); !errors.Is(err, ErrHook) {
		t.Errorf("got %v", err)
	}
	if n := len(read(t, ran)); n != 8 { // at 0, 1, 3, 7, 15, 31, 63 and 123 s
		t.Errorf("the hook ran %d times in 3 minutes", n)
	}
	put(t, good, "")
	if err := look(2 * time.Minute); err != nil {
		t.Error(err)
	}
	if n := len(read(t, ran)); n != 9 {
		t.Errorf("the hook ran %d times, once well", n)
	}
}

// Several files can share one directory that does not exist yet.
func TestFilesInOneNewDirectory(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "d")
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "d"} {
			f := mustNew(t, Config{Path: filepath.Join(dir, name)}, &tap{life: time.Hour})
			all.Go(func() {
				if err := f.Once(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

// The hook has the configured environment, without a token.
func TestHookEnvironment(t *testing.T) {
	t.Setenv("NOT_FOR_HOOKS", "canary")
	path := place(t)
	out := filepath.Join(t.TempDir(), "out")
	var said bytes.Buffer
	c := Config{Path: path, Hook: []string{"/bin/sh", "-c", "env >" + out + "; cat " + path + " >>" + out + "; echo said"}, HookEnv: []string{"GIVEN=1"}, HookOutput: &said}
	if err := mustNew(t, c, &tap{life: time.Hour}).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := read(t, out)
	if !strings.Contains(got, "GIVEN=1\n") || strings.Contains(got, "NOT_FOR_HOOKS") || !strings.HasSuffix(got, "\ncanary-token-1") || strings.Count(got, "canary") != 1 {
		t.Errorf("the hook saw %q", got)
	}
	if said.String() != "said\n" {
		t.Errorf("it said %q", said.String())
	}
}

func TestHookFailures(t *testing.T) {
	for name, c := range map[string]struct {
		hook []string
		want string
	}{
		"exit code": {[]string{"/bin/sh", "-c", "exit 3"}, "exit status 3"},
		"missing":   {[]string{"/nonexistent/hook"}, "no such file"},
		"too slow":  {[]string{"/bin/sh", "-c", "sleep 60 & wait"}, "stopped after 500ms"},
		"stubborn":  {[]string{"/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"}, "stopped after 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := place(t)
			s := &tap{life: time.Hour}
			f := mustNew(t, Config{Path: path, Hook: c.hook, HookTimeout: 500 * time.Millisecond}, s)
			err := f.Once(t.Context())
			if !errors.Is(err, ErrHook) || !strings.Contains(err.Error(), c.want) || !strings.Contains(f.Status().Failure, c.want) {
				t.Errorf("%v; %+v", err, f.Status())
			}
			if read(t, path) != "canary-token-1" {
				t.Error("the file was not written")
			}
			if err := f.Once(t.Context()); !errors.Is(err, ErrHook) {
				t.Errorf("the failure is forgotten before the next change: %v", err)
			}
			f.cfg.Hook, f.cfg.HookTimeout = []string{"/bin/sh", "-c", ":"}, time.Minute
			s.force()
			if err := f.Once(t.Context()); err != nil || f.Status().Failure != "" {
				t.Errorf("at the next change: %v %+v", err, f.Status())
			}
		})
	}
}

// A hook that hangs gets a signal when Run ends.
func TestHookEndsWithRun(t *testing.T) {
	path := place(t)
	pid, told := filepath.Join(t.TempDir(), "pid"), filepath.Join(t.TempDir(), "told")
	hook := "trap 'echo told >" + told + "; exit' TERM; echo $$ >" + pid + "; sleep 60 & wait"
	f := mustNew(t, Config{Path: path, Hook: []string{"/bin/sh", "-c", hook}}, &tap{life: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	deadline := time.After(10 * time.Second)
	for {
		if b, _ := os.ReadFile(pid); len(b) > 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the hook does not start")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Run waits for the hook")
	}
	if got := read(t, told); got != "told\n" {
		t.Errorf("the hook wrote %q", got)
	}
}

var _ Source = (*flow.Client)(nil)

// A file that cannot be written is an error with a hint, and shown by Status.
func TestOnce_FileCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 250)) // the name of a temporary file next to it is too long
	f := mustNew(t, Config{Path: path}, &tap{life: time.Hour})
	err := f.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot write") || hint.Of(err) == "" {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	if st := f.Status(); st.Failure == "" || st.Hint == "" || !st.Written.IsZero() {
		t.Errorf("status %+v", st)
	}
}
