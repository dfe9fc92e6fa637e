//go:build unix

package tokenfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A directory of another user is refused for root, too, although root could write there.
func TestDirectoryOfAnotherUser(t *testing.T) {
	const other = 65534
	dir := t.TempDir()
	if os.Geteuid() == 0 { // whom only internal/durable can play
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
}
