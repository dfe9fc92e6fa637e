package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// TestMemory_UnreadableForSameUser: another process of tokend's user reads neither its
// memory nor its environment, but does read those of an ordinary process.
func TestMemory_UnreadableForSameUser(t *testing.T) {
	t.Parallel()
	place := newPlaceOfUser(t)
	serve := place.command(filepath.Join(place.dir, "bin", "tokend"), "serve")
	p := programs.Start(t, serve)
	p.WaitFor(t, programs.Port)
	ordinary := place.command("/bin/sleep", "60")
	if err := ordinary.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ordinary.Process.Kill(), ordinary.Wait() }) // it may have ended
	for _, name := range []string{"environ", "maps", "mem"} {
		if out, err := place.open(ordinary.Process.Pid, name); err != nil {
			t.Errorf("%s of an ordinary process cannot be read, so this test sees nothing: %v: %s", name, err, out)
		}
		if out, err := place.open(serve.Process.Pid, name); err == nil || !strings.Contains(string(out), "ermission denied") {
			t.Errorf("%s of tokend: %v: %.80s", name, err, out)
		}
	}
}

// placeOfUser is a directory of a user without privileges.
type placeOfUser struct {
	dir  string
	user *syscall.Credential // nil: of this process
}

func newPlaceOfUser(t *testing.T) placeOfUser {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tokend-memory")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := placeOfUser{dir: dir}
	b, err := os.ReadFile(filepath.Join(bin, "tokend"))
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "bin", "tokend"), b, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		p.user = &syscall.Credential{Uid: 65534, Gid: 65534}
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p placeOfUser) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + p.dir, "XDG_RUNTIME_DIR=" + p.dir, "TOKEND_LISTEN=127.0.0.1:0", "TOKEND_CLIENTS=demo",
		"TOKEND_CLIENT_DEMO_ISSUER=http://127.0.0.1:1/", "TOKEND_CLIENT_DEMO_CLIENT_ID=demo", "TOKEND_CLIENT_DEMO_CLIENT_SECRET=CANARY-secret",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	return cmd
}

// open opens a file of a process.
func (p placeOfUser) open(pid int, name string) ([]byte, error) {
	return p.command("/bin/sh", "-c", `exec 3<"$0"`, "/proc/"+strconv.Itoa(pid)+"/"+name).CombinedOutput()
}
