package sqlite_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// TestLease_StoppedHolder_EndsByTime: a stopped process may continue, so its
// lease ends only by time, even if the clock is set; what it saves afterwards is
// rejected.
func TestLease_StoppedHolder_EndsByTime(t *testing.T) {
	for name, by := range map[string]time.Duration{"clock as it was": 0, "clock set forward": 24 * time.Hour, "clock set back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) { testStoppedHolder(t, by) })
	}
}

func testStoppedHolder(t *testing.T, by time.Duration) {
	keys, path := newKeys(t), filepath.Join(t.TempDir(), "tokend.db")
	var passed, set clock
	s := open(t, path, sqlite.Options{Sealer: keys, Skew: passed.now, ClockSet: set.now})
	put(t, s, "a", 1)
	cmd, out, in := child(t, childTask{Path: path, Keys: keysText(t, keys), Steps: true, Times: 1, Conflict: true})
	reach(t, out, in, "loaded")
	must(t, cmd.Process.Signal(syscall.SIGSTOP))
	set.advance(by)
	for range 2 {
		if _, err := s.Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
			t.Errorf("Lock while the holder is stopped = %v, want ErrLocked", err)
		}
		passed.advance(25 * time.Second)
	}
	passed.advance(11 * time.Second)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatalf("Lock after the lease's time = %v", err)
	}
	must(t, cmd.Process.Signal(syscall.SIGCONT))
	_, err = io.WriteString(in, "\n") // it saves
	must(t, err)
	if line, err := out.ReadString('\n'); err != nil || line != "conflict\n" {
		t.Fatalf("the continued holder says %q (%v), want a conflict", line, err)
	}
	must(t, cmd.Wait())
	g, err := s.Load(t.Context(), "a")
	if err != nil || g.Generation != 1 {
		t.Fatalf("Load = %v, %v; want generation 1", g, err)
	}
	must(t, s.Save(t.Context(), l, g))
}

// TestLease_ClockSet_DeadHolder: the lease of a process that has ended is free at
// once, even if the clock was set.
func TestLease_ClockSet_DeadHolder(t *testing.T) {
	for _, by := range []time.Duration{24 * time.Hour, -time.Minute, -24 * time.Hour} {
		var set clock
		o, path := sqlite.Options{Sealer: newKeys(t), ClockSet: set.now}, filepath.Join(t.TempDir(), "tokend.db")
		holder, err := sqlite.Open(t.Context(), path, o)
		must(t, err)
		_, err = holder.Lock(t.Context(), "a", time.Hour)
		must(t, err)
		set.advance(by)
		must(t, holder.Close())
		if _, err := open(t, path, o).Lock(t.Context(), "a", time.Hour); err != nil {
			t.Errorf("the clock was set by %v: Lock = %v", by, err)
		}
	}
}

// TestLease_ClockSet_UnknownHolder: for a holder without a file only the wall
// clock counts. A lease from before the clock was set back ends.
func TestLease_ClockSet_UnknownHolder(t *testing.T) {
	for by, free := range map[time.Duration]bool{time.Hour + time.Second: true, time.Minute: false, -time.Hour: false, -24 * time.Hour: true} {
		var set clock
		o, path := sqlite.Options{Sealer: newKeys(t), ClockSet: set.now}, filepath.Join(t.TempDir(), "tokend.db")
		s := open(t, path, o)
		_, err := s.Lock(t.Context(), "a", time.Hour)
		must(t, err)
		change(t, path, `UPDATE leases SET holder = ''`)
		set.advance(by)
		if _, err := s.Lock(t.Context(), "a", time.Hour); errors.Is(err, flow.ErrLocked) == free {
			t.Errorf("the clock was set by %v: Lock = %v, want it free: %v", by, err, free)
		}
	}
}

// TestLease_Renew_UnknownHolder: the lease ends by the wall clock since its
// renewal.
func TestLease_Renew_UnknownHolder(t *testing.T) {
	var passed clock
	o, path := sqlite.Options{Sealer: newKeys(t), Skew: passed.now}, filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, path, o)
	l, err := s.Lock(t.Context(), "a", time.Hour)
	must(t, err)
	change(t, path, `UPDATE leases SET holder = ''`)
	passed.advance(50 * time.Minute)
	must(t, l.Renew(t.Context()))
	passed.advance(50 * time.Minute)
	if _, err := s.Lock(t.Context(), "a", time.Hour); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v, want ErrLocked", err)
	}
}

// TestLease_OfFormerVersion: such a lease ends by the wall clock alone.
func TestLease_OfFormerVersion(t *testing.T) {
	var set clock
	o, path := sqlite.Options{Sealer: newKeys(t), ClockSet: set.now}, filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, path, o)
	_, err := s.Lock(t.Context(), "a", time.Hour)
	must(t, err)
	change(t, path, `UPDATE leases SET uptime = 0`) // an older version has no such column
	if _, err := s.Lock(t.Context(), "a", time.Hour); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v, want ErrLocked", err)
	}
	set.advance(time.Hour + time.Second)
	_, err = s.Lock(t.Context(), "a", time.Hour)
	must(t, err)
}

// TestLease_DeadHolder_OneSuccessorWins: many stores try to take the leases of a
// dead process.
func TestLease_DeadHolder_OneSuccessorWins(t *testing.T) {
	const leases, successors = 40, 4
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	holder, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range leases {
		if _, err := holder.Lock(t.Context(), fmt.Sprint(i), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	var won [leases]atomic.Int64
	var wg sync.WaitGroup
	for range successors {
		s := open(t, path, o)
		wg.Go(func() {
			for i := range leases {
				switch _, err := s.Lock(t.Context(), fmt.Sprint(i), time.Hour); {
				case err == nil:
					won[i].Add(1)
				case !errors.Is(err, flow.ErrLocked):
					t.Errorf("Lock = %v", err)
				}
			}
		})
	}
	wg.Wait()
	for i := range won {
		if n := won[i].Load(); n != 1 {
			t.Errorf("lease %d was taken by %d successors, want 1", i, n)
		}
	}
}

// TestLease_FormerHolderEnds: the end of a previous holder frees nothing.
func TestLease_FormerHolderEnds(t *testing.T) {
	var skew atomic.Int64
	o := sqlite.Options{Sealer: newKeys(t), Skew: func() time.Duration { return time.Duration(skew.Load()) }}
	path := filepath.Join(t.TempDir(), "tokend.db")
	first, err := sqlite.Open(t.Context(), path, o)
	must(t, err)
	_, err = first.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	skew.Store(int64(time.Minute + time.Second))
	_, err = open(t, path, o).Lock(t.Context(), "a", time.Minute)
	must(t, err)
	must(t, first.Close())
	if _, err := open(t, path, o).Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v, want ErrLocked: the second holder lives", err)
	}
}

// aliveFiles returns the files of the processes that use the database.
func aliveFiles(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".alive/*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAliveFiles(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	first, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{path + ".alive": 0o700, aliveFiles(t, path)[0]: 0o600} {
		if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v (%v), want %#o", name, fi.Mode(), err, mode)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if names := aliveFiles(t, path); len(names) != 0 {
		t.Errorf("%v after Close, want none", names)
	}
	dead := filepath.Join(path+".alive", "00112233445566778899aabbccddeeff")
	stranger := filepath.Join(path+".alive", "notes")
	for _, name := range []string{dead, stranger} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := open(t, path, o)
	third := open(t, path, o)
	if names := aliveFiles(t, path); len(names) != 3 {
		t.Errorf("%v, want those of the two open stores, and the one that does not belong to a store", names)
	}
	l, err := second.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v: Open took the file of a store that is open", err)
	}
	if err := second.Save(t.Context(), l, storetest.Grant()); err != nil {
		t.Error(err)
	}
}

// TestAliveFile_Removed: the file was deleted manually while the process is
// alive; its next lease counts.
func TestAliveFile_Removed(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	s := open(t, path, o)
	for _, name := range aliveFiles(t, path) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Lock(t.Context(), "a", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path, o).Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
		t.Errorf("Lock = %v, want ErrLocked", err)
	}
}

// TestLease_InvalidHolder: the lease of an unknown holder, or one that names
// another file, is respected until it expires, and the file is kept.
func TestLease_InvalidHolder(t *testing.T) {
	for _, holder := range []string{"", "../victim", "/etc/hosts", "..", "x"} {
		o, dir := sqlite.Options{Sealer: newKeys(t)}, t.TempDir()
		path, victim := filepath.Join(dir, "tokend.db"), filepath.Join(dir, "victim")
		if err := os.WriteFile(victim, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path, o)
		if _, err := s.Lock(t.Context(), "a", time.Minute); err != nil {
			t.Fatal(err)
		}
		change(t, path, `UPDATE leases SET holder = ?`, holder)
		if _, err := s.Lock(t.Context(), "a", time.Minute); !errors.Is(err, flow.ErrLocked) {
			t.Errorf("holder %q: Lock = %v, want ErrLocked", holder, err)
		}
		if _, err := os.Stat(victim); err != nil {
			t.Error(err)
		}
	}
}

func TestAliveDirectory_WritableByOthers(t *testing.T) {
	o, path := sqlite.Options{Sealer: newKeys(t)}, filepath.Join(t.TempDir(), "tokend.db")
	if err := errors.Join(os.Mkdir(path+".alive", 0o700), os.Chmod(path+".alive", 0o777)); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path, o); err == nil {
		t.Error("Open succeeded", s.Close())
	}
}
