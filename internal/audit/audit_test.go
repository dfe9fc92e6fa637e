package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func newLog(t *testing.T, c Config) (*Log, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "audit", "audit.jsonl")
	}
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, &log
}

// lines are those of the files, the oldest first.
func lines(t *testing.T, path string, keep int) []string {
	t.Helper()
	var list []string
	err := Print(t.Context(), path, keep, false, func(line []byte) error {
		list = append(list, string(line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRecord_IsOneLineOfJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 3600))
	l, _ := newLog(t, Config{Now: func() time.Time { return at }})
	l.Record(&Entry{Action: "token", Caller: "socket", Peer: &Peer{UID: 1000, GID: 1, PID: 42}, Client: "demo", Audience: "https://api.example.com/", Status: 200})
	l.Record(&Entry{Action: "proxy", Caller: "ci", Client: "demo", Method: "GET", Host: "api.example.com", Path: "/a\"b\n\x7fé", Status: 503, Error: "idp_timeout", RequestID: "r1"})
	l.Record(&Entry{Action: "proxy", Path: strings.Repeat("é", maxText), Status: 200})
	got := lines(t, l.path, 1)
	want := []string{
		`{"time":"2026-01-02T02:04:05.678Z","action":"token","caller":"socket","uid":1000,"pid":42,"client":"demo","audience":"https://api.example.com/","status":200}`,
		`{"time":"2026-01-02T02:04:05.678Z","action":"proxy","caller":"ci","client":"demo","method":"GET","host":"api.example.com","path":"/a\"b\n` + "\x7fé" + `","status":503,"error":"idp_timeout","request_id":"r1"}`,
	}
	if len(got) != 3 || !slices.Equal(got[:2], want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, line := range got {
		if len(line) > maxText+200 || !json.Valid([]byte(line)) {
			t.Errorf("%d bytes: %.100s", len(line), line)
		}
	}
	if fi, err := os.Stat(l.path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// The text of a second is kept for the entries of the same second only.
func TestRecord_TimeOfEachEntry(t *testing.T) {
	l, _ := newLog(t, Config{})
	at := time.Date(2025, 12, 31, 23, 59, 59, 9e6, time.UTC)
	for _, d := range []time.Duration{0, 990 * time.Millisecond, time.Second, 999 * time.Microsecond, -24 * time.Hour} {
		l.Record(&Entry{Time: at.Add(d), Action: "token"})
	}
	want := []string{"2025-12-31T23:59:59.009Z", "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00.009Z", "2025-12-31T23:59:59.009Z", "2025-12-30T23:59:59.009Z"}
	for i, line := range lines(t, l.path, 1) {
		if !strings.Contains(line, want[i]) {
			t.Errorf("%s, not %s", line, want[i])
		}
	}
}

func TestOpen_ContinuesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"action":"old"}`+"\n"+`{"action":"ha`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, _ := newLog(t, Config{Path: path})
	l.Record(&Entry{Action: "token"})
	got := lines(t, path, 1)
	if len(got) != 3 || !strings.Contains(got[2], `"action":"token"`) {
		t.Errorf("%q", got)
	}
}

func TestOpen_Refuses(t *testing.T) {
	for name, make := range map[string]func(dir, path string) error{
		"is not a regular file":            func(_, path string) error { return os.Mkdir(path, 0o700) },
		"is not a regular file: a link":    func(dir, path string) error { return os.Symlink(filepath.Join(dir, "x"), path) },
		"is not a regular file: a pipe":    func(_, path string) error { return syscall.Mkfifo(path, 0o600) },
		"is open to everyone (mode 0604)":  func(_, path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o604)) },
		"is open to its group (mode 0640)": func(_, path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o640)) },
		"can be written by others":         func(dir, _ string) error { return os.Chmod(dir, 0o777) }, //nolint:gosec // that is the test
		"not a directory":                  func(dir, _ string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			path := filepath.Join(dir, "audit.jsonl")
			if err := errors.Join(os.Mkdir(dir, 0o700), make(dir, path)); err != nil {
				t.Fatal(err)
			}
			want, _, _ := strings.Cut(name, ": ")
			_, err := Open(Config{Path: path})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) || hintOf(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRecord_SizeIsBounded(t *testing.T) {
	const size, keep = 2000, 2
	l, _ := newLog(t, Config{Max: size, Keep: keep})
	const n = 100
	for i := range n {
		l.Record(&Entry{Action: "token", Client: fmt.Sprint("c", i)})
	}
	files, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil || len(files) != keep+1 {
		t.Errorf("%v, %v", files, err)
	}
	for _, f := range files {
		if fi, err := f.Info(); err != nil || fi.Size() > size || fi.Size() < size/2 && f.Name() != "audit.jsonl" || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), fi, err)
		}
	}
	got := lines(t, l.path, keep)
	for i, line := range got { // the last ones, in order, none missing
		if want := fmt.Sprintf(`"client":"c%d"`, n-len(got)+i); !strings.Contains(line, want) {
			t.Fatalf("line %d is %s, not %s", i, line, want)
		}
	}
	if len(got) < 40 {
		t.Errorf("%d lines are kept", len(got))
	}
}

// Two processes, as a service and a private one of tokend exec, lose no entry.
func TestRecord_TwoProcesses_LoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	const each, keep = 300, 90
	var all sync.WaitGroup
	for p := range 2 {
		l, _ := newLog(t, Config{Path: path, Max: 1000, Keep: keep})
		all.Go(func() {
			for i := range each {
				l.Record(&Entry{Action: "token", Client: fmt.Sprintf("p%d-%d", p, i)})
			}
		})
	}
	all.Wait()
	got := strings.Join(lines(t, path, keep), "\n")
	for p := range 2 {
		for i := range each {
			if !strings.Contains(got, fmt.Sprintf(`"p%d-%d"`, p, i)) {
				t.Fatalf("p%d-%d is missing", p, i)
			}
		}
	}
}

// Of two processes with the same full file, the first one renames it. The second one has
// no reason yet to check which file is at the path, and does not rename the new one over it.
func TestRecord_OneOfTwoProcessesRenamesTheFile(t *testing.T) {
	config := Config{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Max: 1000, Keep: 1}
	first, _ := newLog(t, config)
	full := 0
	for ; ; full++ {
		if fi, err := os.Stat(config.Path); err != nil || fi.Size() > 900 {
			break
		}
		first.Record(&Entry{Action: "full"})
	}
	second, _ := newLog(t, config)
	text := strings.Repeat("x", 100)
	first.Record(&Entry{Action: "renames", Client: text})
	second.Record(&Entry{Action: "follows", Client: text})
	got := lines(t, config.Path, 1)
	if len(got) != full+2 || !strings.Contains(got[full], "renames") || !strings.Contains(got[full+1], "follows") {
		t.Errorf("%d entries before, now %q", full, got)
	}
}

func TestRecord_RenamedFile(t *testing.T) {
	now := time.Now()
	l, _ := newLog(t, Config{Now: func() time.Time { return now }})
	l.Record(&Entry{Action: "one"})
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen() // at SIGHUP, as logrotate sends it
	l.Record(&Entry{Action: "two"})
	if err := os.Rename(l.path, l.path+".x"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * lookAgain) // without a signal
	l.Record(&Entry{Action: "three"})
	got := lines(t, l.path, 1)
	if len(got) != 2 || !strings.Contains(got[0], "one") || !strings.Contains(got[1], "three") {
		t.Errorf("%q", got)
	}
}

// faulty is a file whose writes fail, or are cut.
type faulty struct {
	file
	err  *error
	part int // bytes that are written all the same
}

func (f *faulty) Write(b []byte) (int, error) {
	if *f.err != nil {
		n, _ := f.file.Write(b[:min(f.part, len(b))])
		return n, *f.err
	}
	return f.file.Write(b)
}

func TestRecord_DiskFull_NothingIsLostSilently(t *testing.T) {
	l, log := newLog(t, Config{})
	var err error
	l.file = &faulty{file: l.file, err: &err, part: 10}
	l.Record(&Entry{Action: "before"})
	err = &fs.PathError{Op: "write", Path: l.path, Err: syscall.ENOSPC}
	l.Record(&Entry{Action: "token", Client: "lost1"})
	l.Record(&Entry{Action: "token", Client: "lost2"})
	f := l.Failure()
	if f == nil || f.Missing != 2 || f.Reason != "no space left on device" || f.Hint == "" {
		t.Fatalf("%+v", f)
	}
	for _, want := range []string{"lost1", "lost2", "reason=", "hint=", "degraded"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
	err = nil
	l.Record(&Entry{Action: "after"})
	if f := l.Failure(); f != nil {
		t.Errorf("%+v", f)
	}
	var actions []string
	for _, line := range lines(t, l.path, 1) {
		var e struct {
			Action  string
			Missing int
		}
		if json.Unmarshal([]byte(line), &e) == nil { // the line that was cut does not parse
			actions = append(actions, e.Action+fmt.Sprint(e.Missing))
		}
	}
	if got := strings.Join(actions, " "); got != "before0 gap2 after0" {
		t.Error(got)
	}
}

func TestFailure_RecoversWithoutAnEntry(t *testing.T) {
	l, _ := newLog(t, Config{})
	err := error(syscall.ENOSPC)
	l.file = &faulty{file: l.file, err: &err}
	l.Record(&Entry{Action: "lost"})
	err = syscall.EIO
	if f := l.Failure(); f == nil || f.Reason != "input/output error" {
		t.Fatalf("%+v", f)
	}
	err = nil
	if f := l.Failure(); f != nil {
		t.Errorf("%+v", f)
	}
	if got := lines(t, l.path, 1); len(got) != 1 || !strings.Contains(got[0], `"gap","missing":1`) {
		t.Errorf("%q", got)
	}
}

func TestRecord_FileCannotBeOpened_IsInTheServiceLog(t *testing.T) {
	now := time.Now()
	l, log := newLog(t, Config{Now: func() time.Time { return now }})
	if err := errors.Join(os.Remove(l.path), os.Mkdir(l.path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if l.Reopen(); l.Failure() == nil {
		t.Error("no failure")
	}
	now = now.Add(2 * lookAgain)
	l.Record(&Entry{Action: "token", Client: "lost"})
	if f := l.Failure(); f == nil || !strings.Contains(f.Reason, "is not a regular file") || !strings.Contains(log.String(), "lost") {
		t.Errorf("%+v\n%s", f, log)
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	l.Record(&Entry{Action: "token", Client: "kept"})
	if got := lines(t, l.path, 1); l.Failure() != nil || len(got) != 2 || !strings.Contains(got[1], "kept") {
		t.Errorf("%q", got)
	}
}

func TestRecord_CannotRename_EntriesAreKept(t *testing.T) {
	l, _ := newLog(t, Config{Max: 200, Keep: 1})
	if err := os.MkdirAll(filepath.Join(l.path+".1", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Record(&Entry{Action: "token"})
	}
	f := l.Failure()
	if f == nil || !strings.Contains(f.Reason, "cannot be renamed") || f.Missing != 0 {
		t.Fatalf("%+v", f)
	}
	b, err := os.ReadFile(l.path)
	if n := bytes.Count(b, []byte("\n")); n != 5 {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := os.RemoveAll(l.path + ".1"); err != nil {
		t.Fatal(err)
	}
	l.Record(&Entry{Action: "token"})
	if f := l.Failure(); f != nil {
		t.Errorf("%+v", f)
	}
}

// stuck is a file whose writes do not return.
type stuck struct {
	file
	release chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.release
	return s.file.Write(b)
}

func TestRecord_DiskHangs_OtherRequestsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLog(t, Config{})
		s := &stuck{l.file, make(chan struct{})}
		l.file = s
		var first sync.WaitGroup
		first.Go(func() { l.Record(&Entry{Action: "token", Client: "first"}) })
		synctest.Wait()
		began := time.Now()
		l.Record(&Entry{Action: "token", Client: "second"})
		l.Record(&Entry{Action: "token", Client: "third"})
		if d := time.Since(began); d > turnTimeout {
			t.Errorf("two requests waited %s", d)
		}
		if f := l.Failure(); f == nil || f.Missing != 2 || !strings.Contains(log.String(), "second") {
			t.Errorf("%+v\n%s", f, log)
		}
		close(s.release)
		first.Wait()
		if f := l.Failure(); f != nil {
			t.Errorf("%+v", f)
		}
	})
}

func TestNilLog(t *testing.T) {
	var l *Log
	l.Record(&Entry{})
	l.Reopen()
	if l.Failure() != nil || l.Close() != nil {
		t.Error("a nil log does something")
	}
}

// A person who follows sees every entry, also of files that are renamed.
func TestPrint_Follow(t *testing.T) {
	l, _ := newLog(t, Config{Max: 500, Keep: 3})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	got := make(chan string)
	var following sync.WaitGroup
	following.Go(func() {
		err := Print(ctx, l.path, 3, true, func(line []byte) error {
			var e struct{ Client string }
			err := json.Unmarshal(line, &e)
			got <- e.Client
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	const group = 10 // of more than one file
	for i := range 4 * group {
		l.Record(&Entry{Action: "token", Client: fmt.Sprint("c", i)})
		if i%group != group-1 {
			continue
		}
		for n := i + 1 - group; n <= i; n++ {
			if seen := <-got; seen != fmt.Sprint("c", n) {
				t.Errorf("%s, not c%d", seen, n)
			}
		}
	}
	stop()
	following.Wait()
}

func TestPrint_NoFile(t *testing.T) {
	err := Print(t.Context(), filepath.Join(t.TempDir(), "none"), 1, false, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	l, err := Open(Config{Path: filepath.Join(b.TempDir(), "a"), Max: 32 << 20, Keep: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Record(&Entry{Action: "token", Caller: "main", Client: "demo", Audience: "https://api.example.com/", Status: 200})
	}
}

// countedFile counts how often the file is compared with the one at the path.
type countedFile struct {
	file
	looks *int
}

func (f countedFile) Stat() (fs.FileInfo, error) {
	*f.looks++
	return f.file.Stat()
}

// An entry that has waited for others is older than the last check of the file, and is no
// reason for another one: otherwise each entry of many callers at once would cost one.
func TestRecord_OfManyCallersLooksOnce(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l, _ := newLog(t, Config{Now: func() time.Time { return now }})
	looks := 0
	l.file = countedFile{l.file, &looks}
	now = now.Add(lookAgain)
	for i := range 64 {
		l.Record(&Entry{Time: now.Add(-time.Duration(i) * time.Millisecond), Action: "token"})
	}
	if looks != 1 {
		t.Errorf("%d looks for 64 entries at once", looks)
	}
	now = now.Add(-time.Hour) // the clock was set back
	l.Record(&Entry{Time: now, Action: "token"})
	if looks != 2 {
		t.Errorf("%d looks after the clock was set back", looks)
	}
}
