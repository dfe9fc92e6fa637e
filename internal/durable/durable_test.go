package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestReplace_PutsContentAndMode(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "f"), "old and longer", 0o644)
	if err := Replace(path, 0o640, []byte("new")); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if b, rerr := os.ReadFile(path); err != nil || rerr != nil || string(b) != "new" || fi.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, %v, %v", b, fi, err, rerr)
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %v", got)
	}
}

func TestReplace_ErrorNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "f")
	if err := Replace(path, 0o600, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+":") {
		t.Errorf("got %v, want an error with %s", err, path)
	}
}

func TestReplace_FailureLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil { // nothing can be renamed over it
		t.Fatal(err)
	}
	if err := Replace(path, 0o600, []byte("new")); err == nil {
		t.Error("a directory was replaced")
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %v", got)
	}
}

func TestReplace_RemovesWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	old := write(t, filepath.Join(dir, ".f.tokend-1"), "secret", 0o600)
	write(t, filepath.Join(dir, ".f.tokend-2"), "of a running process", 0o600)
	write(t, filepath.Join(dir, ".g.tokend-1"), "of another file", 0o600)
	hour := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Chtimes(old, hour, hour), os.Chtimes(filepath.Join(dir, ".g.tokend-1"), hour, hour)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, 0o600, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, dir); !slices.Equal(got, []string{".f.tokend-2", ".g.tokend-1", "f"}) {
		t.Errorf("left %v", got)
	}
}

func TestCreate_KeepsAnExistingFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Create(path, 0o600, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, 0o600, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "first" {
		t.Errorf("%q, %v", b, err)
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %v", got)
	}
}

func TestSyncDir_MissingIsAnError(t *testing.T) {
	if err := SyncDir(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReadSecret_Refused(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		path      string
		forbidden fs.FileMode
		text      string
		hint      string
	}{
		"open to everyone": {write(t, filepath.Join(dir, "open"), "s", 0o604), Others, "is open to everyone (mode 0604)", "chmod 600 " + filepath.Join(dir, "open")},
		"open to a group":  {write(t, filepath.Join(dir, "group"), "s", 0o640), Private, "is open to its group (mode 0640)", "chmod 600"},
		"absent":           {filepath.Join(dir, "absent"), Others, "cannot be read: no such file", "use a file"},
		"directory":        {dir, 0, "is not a regular file", "name the file itself"},
		"large":            {write(t, filepath.Join(dir, "large"), strings.Repeat("x", MaxSecret+1), 0o600), Others, "is larger than 64 KiB", "only the secret"},
	} {
		b, err := ReadSecret(c.path, c.forbidden)
		var e *Error
		if b != nil || !errors.As(err, &e) || !strings.HasPrefix(e.Error(), c.path+" "+c.text) || !strings.Contains(e.Hint(), c.hint) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := ReadSecret(filepath.Join(dir, "absent"), Others); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestReadSecret_LargestIsRead(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "s"), strings.Repeat("x", MaxSecret), 0o640)
	if b, err := ReadSecret(path, Others); err != nil || len(b) != MaxSecret {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// Kubernetes mounts name → ..data/name, and ..data → ..2026_…: an update moves the
// second link.
func TestReadSecret_KubernetesMount(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "..1"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(dir, "..1", "secret"), "s", 0o440)
	path := filepath.Join(dir, "secret")
	if err := errors.Join(os.Symlink("..1", filepath.Join(dir, "..data")), os.Symlink("..data/secret", path)); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadSecret(path, Others); err != nil || string(b) != "s" {
		t.Errorf("%q, %v", b, err)
	}
	write(t, file, "s", 0o400)
	if _, err := ReadSecret(path, Private); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a link in place of a file of tokend's own: %v", err)
	}
	write(t, file, "s", 0o644)
	if _, err := ReadSecret(path, Others); err == nil || !strings.Contains(err.Error(), "is open to everyone") {
		t.Errorf("an open target: %v", err)
	}
}

func TestCheckDir(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode, forbidden fs.FileMode
		want            string // "": fine
	}{
		"private":            {0o700, Private, ""},
		"readable":           {0o755, Written, ""},
		"readable, private":  {0o750, Private, "is open to others (mode 0750)"},
		"writable by group":  {0o770, Written, "can be written by others (mode 0770)"},
		"writable by others": {0o702, Written, "can be written by others (mode 0702)"},
	} {
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = CheckDir(dir, fi, c.forbidden, "name another")
		var e *Error
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &e) || e.Error() != dir+" "+c.want || e.Hint() != "chmod 700 "+dir+", or name another") {
			t.Errorf("%s: %v", name, err)
		}
	}
	fi, err := os.Stat(write(t, filepath.Join(dir, "f"), "", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckDir("f", fi, Written, "name another"); err == nil || err.Error() != "f is not a directory" {
		t.Errorf("a file: %v", err)
	}
}
