//go:build unix

package durable

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe without a writer is refused at once; a blocking open would wait.
func TestReadSecret_NamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { _, err := ReadSecret(path, Others); read <- err }()
	select {
	case err := <-read:
		if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a writer")
	}
}

// Another user's file or directory is refused, and root's is not. The test runs as
// the files' owner, so it pretends to be another user.
func TestOwner_OfAnotherUser(t *testing.T) {
	const stranger = 65534
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "s"), "s", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("s", link); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	roots := fi.Sys().(*syscall.Stat_t).Uid == 0 //nolint:errcheck // of this system
	if _, err := readSecret(path, Others, stranger, MaxSecret); (err == nil) != roots || err != nil && !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("a file: %v", err)
	}
	if err := checkDir(dir, fi, Written, "", stranger); (err == nil) != roots {
		t.Errorf("a directory: %v", err)
	}
	if !roots {
		return
	}
	const want = "belongs to user 65534, and this runs as user 0"
	give := func(name string, uid int) {
		t.Helper()
		if err := os.Lchown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	give(path, stranger)
	for _, name := range []string{path, link} { // itself, and as the target of root's link
		if _, err := ReadSecret(name, Others); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	give(path, 0)
	give(link, stranger)
	if _, err := ReadSecret(link, Others); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("another user's link: %v", err)
	}
	give(dir, stranger)
	if fi, err = os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := CheckDir(dir, fi, Written, ""); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a directory: %v", err)
	}
}
