//go:build unix

package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is not a file, such as /dev/null, stays also with --force, and a link stays a link.
func TestExport_ReplacesNothingButFiles(t *testing.T) {
	r := start(t, 1, nil)
	dir := t.TempDir()
	file, link, toDir := filepath.Join(dir, "tenant.yaml"), filepath.Join(dir, "link"), filepath.Join(dir, "to-dir")
	socket := filepath.Join(dir, "socket")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link), os.Symlink(dir, toDir)); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, path := range []string{dir, toDir, socket} {
		code, _, stderr := execute(t, "export", "--url", r.issuers[0], "--output", path, "--force")
		if code != exitFailure || !strings.Contains(stderr, path+" is not a regular file\nhint: name another file") {
			t.Errorf("%s: exit code %d %s", path, code, stderr)
		}
	}
	if info, err := os.Lstat(socket); err != nil || info.Mode()&os.ModeSocket == 0 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	code, _, stderr := execute(t, "export", "--url", r.issuers[0], "--output", link, "--force")
	if b, err := os.ReadFile(file); code != 0 || !strings.Contains(string(b), "x-management:") {
		t.Errorf("exit code %d %s; the file of the link is %q, %v", code, stderr, b, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
}
