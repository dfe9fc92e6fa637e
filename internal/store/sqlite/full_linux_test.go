package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/pkg/flow"
)

// TestPing_FullDisk needs root, for a file system that can be filled.
func TestPing_FullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	keys := newKeys(t)
	s := open(t, filepath.Join(dir, "tokend.db"), sqlite.Options{Sealer: keys})
	g := put(t, s, "a", 1)
	must(t, s.Ping(t.Context()))
	filler := filepath.Join(dir, "filler")
	must(t, os.Mkdir(filler, 0o700))
	for i, err := 0, error(nil); err == nil; i++ { // one page each
		err = os.WriteFile(filepath.Join(filler, strconv.Itoa(i)), make([]byte, 4096), 0o600)
	}
	if err := s.Ping(t.Context()); err == nil || errors.Is(err, flow.ErrCorrupt) {
		t.Errorf("Ping on a full disk = %v, want an error other than damage", err)
	}
	l, err := s.Lock(t.Context(), "a", time.Minute)
	if err == nil {
		err = s.Save(t.Context(), l, g)
	}
	if !errors.Is(err, sqlite.ErrDisk) || !strings.Contains(hint.Of(err), "free space") || errors.Is(err, flow.ErrCorrupt) || errors.Is(err, flow.ErrConflict) {
		t.Errorf("Save on a full disk = %v, hint: %s", err, hint.Of(err))
	}
	must(t, s.Close())   // which removes the -wal and the -shm
	for i := range 100 { // their space, too
		_ = os.WriteFile(filepath.Join(filler, "closed"+strconv.Itoa(i)), make([]byte, 4096), 0o600)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "tokend.db"), sqlite.Options{Sealer: keys}); !errors.Is(err, sqlite.ErrDisk) || !strings.Contains(hint.Of(err), "free space") {
		t.Errorf("Open on a full disk = %v, hint: %s", err, hint.Of(err))
	}
	must(t, os.RemoveAll(filler))
	s = open(t, filepath.Join(dir, "tokend.db"), sqlite.Options{Sealer: keys})
	must(t, s.Ping(t.Context()))
	put(t, s, "a", 2)
}
