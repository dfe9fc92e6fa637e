package postgres_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// The test binary runs itself as the other process; this variable has its task.
const childEnv = "POSTGRES_TEST_CHILD"

type childTask struct {
	URL, Keys string
	Times     int  // number of increments; 0: until killed
	Watch     bool // only listens: it prints a line when it does, until killed
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
	s, err := postgres.Open(ctx, c.URL, postgres.Options{Sealer: keys})
	if err != nil {
		return err
	}
	if c.Watch {
		return s.Watch(ctx, func(string) { fmt.Println("listens") })
	}
	for i := 0; c.Times == 0 || i < c.Times; i++ {
		if err := increment(ctx, s); err != nil {
			return err
		}
	}
	return s.Close()
}

// increment prints each saved generation once it is durable.
func increment(ctx context.Context, s *postgres.Store) error {
	var l flow.Lease
	var err error
	for l, err = s.Lock(ctx, "a", childTTL); errors.Is(err, flow.ErrLocked); l, err = s.Lock(ctx, "a", childTTL) {
		time.Sleep(time.Millisecond) // like a waiting process
	}
	if err != nil {
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
	g.Generation++
	if err := s.Save(ctx, l, g); err != nil {
		return err
	}
	fmt.Println(g.Generation)
	return l.Release(ctx)
}

// childTTL is the ttl of leases of processes that are killed: the next one waits
// for it.
const childTTL = time.Second

func child(t *testing.T, task childTask) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	b, err := json.Marshal(task)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, bufio.NewReader(out)
}

func keysText(t *testing.T, k *seal.Keyset) string {
	t.Helper()
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	must(t, err)
	return b.String()
}

// TestProcesses_NoLostUpdate starts with an empty database, so that creating the
// tables is concurrent, too.
func TestProcesses_NoLostUpdate(t *testing.T) {
	const processes, times = 4, 15
	keys, url := newKeys(t), cluster.URL(t)
	var children []*exec.Cmd
	for range processes {
		cmd, out := child(t, childTask{URL: url, Keys: keysText(t, keys), Times: times})
		go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the child
		children = append(children, cmd)
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	}
	g, err := open(t, url, postgres.Options{Sealer: keys}).Load(t.Context(), "a")
	must(t, err)
	if g.Generation != processes*times {
		t.Errorf("generation %d after %d increments", g.Generation, processes*times)
	}
}

// TestProcesses_KilledAtAnyTime kills writers at full speed: everything that Save
// returned for is there, and at most the one save that was running. The lease of
// the killed process ends after its ttl.
func TestProcesses_KilledAtAnyTime(t *testing.T) {
	keys, url := newKeys(t), cluster.URL(t)
	s := open(t, url, postgres.Options{Sealer: keys})
	acknowledged := int64(0)
	for round := range 5 {
		cmd, out := child(t, childTask{URL: url, Keys: keysText(t, keys)})
		for range 3 + round { // a few saves, then kill it at any point
			if line, err := out.ReadString('\n'); err != nil {
				t.Fatalf("child: %q, %v", line, err)
			}
		}
		must(t, cmd.Process.Kill()) // Wait is called after its output was read
		rest, err := io.ReadAll(out)
		must(t, err)
		_ = cmd.Wait() // it was killed
		acknowledged += int64(3 + round + bytes.Count(rest, []byte("\n")))
		g, err := s.Load(t.Context(), "a")
		must(t, err)
		if g.Generation != acknowledged && g.Generation != acknowledged+1 {
			t.Errorf("generation %d, %d were acknowledged", g.Generation, acknowledged)
		}
		acknowledged = g.Generation
	}
}
