//go:build unix

package tokenfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A directory of another user is refused to root, too, who could write there.
func TestDirectoryOfAnotherUser(t *testing.T) {
	const other = 65534
	dir := t.TempDir()
	uid := os.Geteuid()
	if uid == 0 {
		if err := os.Chown(dir, other, other); err != nil {
			t.Fatal(err)
		}
		chmod(t, dir, 0o755|os.ModeSetgid)
		f := mustNew(t, Config{Path: filepath.Join(dir, "token"), Mode: 0o640}, &tap{life: time.Hour})
		if err := f.Once(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := guardOwner(dir, fi, other-1); !errors.Is(err, ErrRefused) {
		t.Errorf("to a third user: %v", err)
	}
	if fi, err = os.Stat("/"); err != nil || guardOwner("/", fi, uid) != nil {
		t.Errorf("root's is refused: %v", err)
	}
}
