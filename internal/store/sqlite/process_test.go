package sqlite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// The test binary runs itself as the other process; this variable has its task.
const childEnv = "SQLITE_TEST_CHILD"

type childTask struct {
	Path, Keys string
	Times      int  // number of increments; 0: until killed
	Steps      bool // wait for a line on stdin before each step of a refresh
	Conflict   bool // Save must be rejected: report it and end
}

func childMain() {
	v := os.Getenv(childEnv)
	if v == "" {
		return
	}
	var task childTask
	err := json.Unmarshal([]byte(v), &task)
	if err == nil {
		err = task.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (c childTask) run(ctx context.Context) error {
	keys, err := seal.Parse(c.Keys)
	if err != nil {
		return err
	}
	s, err := sqlite.Open(ctx, c.Path, sqlite.Options{Sealer: keys})
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	step := func(name string) error {
		if !c.Steps {
			return nil
		}
		fmt.Println(name)
		_, err := in.ReadString('\n')
		return err
	}
	for i := 0; c.Times == 0 || i < c.Times; i++ {
		err := increment(ctx, s, step)
		if c.Conflict && errors.Is(err, flow.ErrConflict) {
			fmt.Println("conflict")
			break
		}
		if err != nil {
			return err
		}
	}
	return s.Close()
}

// increment prints each saved generation once it is durable.
func increment(ctx context.Context, s *sqlite.Store, step func(string) error) error {
	var l flow.Lease
	var err error
	for l, err = s.Lock(ctx, "a", time.Minute); errors.Is(err, flow.ErrLocked); l, err = s.Lock(ctx, "a", time.Minute) {
		time.Sleep(time.Millisecond) // like a waiting process
	}
	if err != nil {
		return err
	}
	if err := step("locked"); err != nil {
		return err
	}
	g, err := s.Load(ctx, "a")
	if errors.Is(err, flow.ErrNotFound) {
		g, err = storetest.Grant(), nil
		g.Generation = 0
	}
	if err != nil {
		return err
	}
	if err := step("loaded"); err != nil {
		return err
	}
	g.Generation++
	if err := s.Save(ctx, l, g); err != nil {
		return err
	}
	fmt.Println(g.Generation)
	if err := step("saved"); err != nil {
		return err
	}
	if err := l.Release(ctx); err != nil {
		return err
	}
	return step("released")
}

func child(t *testing.T, task childTask) (*exec.Cmd, *bufio.Reader, io.Writer) {
	t.Helper()
	b, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out), in
}

func keysText(t *testing.T, k *seal.Keyset) string {
	t.Helper()
	var b writer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

// TestProcesses_NoLostUpdate starts without a database, so that creating it is
// concurrent, too.
func TestProcesses_NoLostUpdate(t *testing.T) {
	const processes, times = 4, 15
	keys, path := newKeys(t), filepath.Join(t.TempDir(), "tokend.db")
	var children []*exec.Cmd
	for range processes {
		cmd, out, _ := child(t, childTask{Path: path, Keys: keysText(t, keys), Times: times})
		go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the child
		children = append(children, cmd)
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	}
	g, err := open(t, path, sqlite.Options{Sealer: keys}).Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if g.Generation != processes*times {
		t.Errorf("generation %d after %d increments", g.Generation, processes*times)
	}
}

// reach runs the child until it waits at that step.
func reach(t *testing.T, out *bufio.Reader, in io.Writer, step string) {
	t.Helper()
	for line := ""; line != step+"\n"; {
		var err error
		if line, err = out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if _, err := strconv.Atoi(line[:len(line)-1]); err != nil && line != step+"\n" {
			if _, err := io.WriteString(in, "\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// kill kills the child like kill -9.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// TestProcesses_KilledBetweenSteps kills a process after each step of a refresh.
// Its saved grant is there, and its lease, of a minute, is free at once (F27).
func TestProcesses_KilledBetweenSteps(t *testing.T) {
	for _, c := range []struct {
		step string
		want int64 // generation afterwards, 1 before
	}{{"locked", 1}, {"loaded", 1}, {"saved", 2}, {"released", 2}} {
		t.Run(c.step, func(t *testing.T) {
			keys, path := newKeys(t), filepath.Join(t.TempDir(), "tokend.db")
			s := open(t, path, sqlite.Options{Sealer: keys})
			put(t, s, "a", 1)
			cmd, out, in := child(t, childTask{Path: path, Keys: keysText(t, keys), Steps: true})
			reach(t, out, in, c.step)
			_, err := s.Lock(t.Context(), "a", time.Minute)
			if locked := errors.Is(err, flow.ErrLocked); locked != (c.step != "released") {
				t.Fatalf("Lock while the holder lives = %v", err)
			}
			kill(t, cmd)
			if c.step != "released" { // otherwise this test has the lease
				if _, err = s.Lock(t.Context(), "a", time.Minute); err != nil {
					t.Errorf("Lock after the holder was killed = %v", err)
				}
			}
			if g, err := s.Load(t.Context(), "a"); err != nil || g.Generation != c.want {
				t.Errorf("Load = %v, %v; want generation %d", g, err, c.want)
			}
		})
	}
}

// TestProcesses_KilledAtAnyTime kills writers at full speed: everything that Save
// returned for is there, and at most the one save that was running.
func TestProcesses_KilledAtAnyTime(t *testing.T) {
	keys, path := newKeys(t), filepath.Join(t.TempDir(), "tokend.db")
	acknowledged := int64(0)
	for round := range 10 {
		cmd, out, _ := child(t, childTask{Path: path, Keys: keysText(t, keys)})
		for range 3 + round { // a few saves, then kill it at any point
			if line, err := out.ReadString('\n'); err != nil {
				t.Fatalf("child: %q, %v", line, err)
			}
		}
		if err := cmd.Process.Kill(); err != nil { // Wait is called after its output was read
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		acknowledged += int64(3 + round)
		for _, b := range rest {
			if b == '\n' {
				acknowledged++
			}
		}
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Sealer: keys})
		if err != nil {
			t.Fatal(err)
		}
		g, err := s.Load(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if g.Generation != acknowledged && g.Generation != acknowledged+1 {
			t.Errorf("generation %d, %d were acknowledged", g.Generation, acknowledged)
		}
		acknowledged = g.Generation
		put(t, s, "a", acknowledged) // the lease of the killed process is free
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
