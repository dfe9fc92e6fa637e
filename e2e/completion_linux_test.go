package e2e_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tokend/e2e/internal/programs"
)

// TestInstall_CompletesInBash installs as "make install" does. Then Tab completes the name
// of a client, from the running service, in a bash on a terminal.
func TestInstall_CompletesInBash(t *testing.T) {
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("bash-completion is missing, and CI must not skip\nhint: make deps")
		}
		t.Skip("bash-completion is missing\nhint: make deps")
	}
	prefix := installed(t)
	d := newDocs(t)
	for _, name := range []string{"share/zsh/site-functions/_mockauth0", "share/fish/vendor_completions.d/tokend.fish", "share/man/man1/tokend.1", "bin/git-credential-tokend"} {
		if _, err := os.Stat(filepath.Join(prefix, name)); err != nil {
			t.Error(err)
		}
	}
	shell := exec.Command("bash", "--noprofile", "--norc", "-i")
	shell.Env = slices.Concat(d.env, []string{"TERM=dumb", "PS1=> ", "PATH=" + prefix + "/bin:/usr/bin:/bin", "XDG_DATA_DIRS=" + prefix + "/share"})
	for line, want := range map[string]string{
		"tokend refresh de\t\n":    "tokend refresh demo",
		"tokend comple\tpow\t\n":   "tokend completion powershell",
		"mockauth0 contr\t -h\n":   "mockauth0 contract",
		"tokend token --forma\t\n": "tokend token --format",
	} {
		if screen := typed(t, shell, ". "+library+"\n"+line+"exit\n"); !strings.Contains(screen, want) {
			t.Errorf("%q is not completed to %q:\n%s", line, want, screen)
		}
	}
}

// installed returns a prefix with both programs.
func installed(t *testing.T) (prefix string) {
	t.Helper()
	built := t.TempDir()
	for _, name := range []string{"tokend", "tokend-credential", "mockauth0"} {
		check(t, os.Symlink(filepath.Join(bin, name), filepath.Join(built, name)))
	}
	writeFile(t, filepath.Join(built, "man", "tokend.1"), ".TH tokend 1\n") // "make man" writes it
	prefix = filepath.Join(programs.Folder(t), "usr")
	for _, script := range [][]string{{"completions.sh", filepath.Join(built, "completions"), built}, {"install.sh", built, prefix}} {
		if out, err := exec.CommandContext(t.Context(), filepath.Join("..", "scripts", script[0]), script[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	return prefix
}

// typed runs a shell on a terminal, types into it, and returns its screen after its end.
func typed(t *testing.T, shell *exec.Cmd, keys string) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	check(t, err)
	defer func() { _ = screen.Close() }()
	fd := int(screen.Fd())
	check(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	check(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	cmd := exec.CommandContext(t.Context(), shell.Path, shell.Args[1:]...)
	cmd.Env, cmd.Dir = shell.Env, t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, cmd.Start())
	_ = tty.Close() // the shell has it
	seen := make(chan string)
	go func() {
		b, _ := io.ReadAll(screen) // ends with an error when the shell has closed it
		seen <- string(b)
	}()
	_, err = io.WriteString(screen, keys)
	check(t, err)
	select {
	case text := <-seen:
		_ = cmd.Wait() // its code is that of the last command
		return text
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("the shell did not end; it printed:\n%s", <-seen)
	}
	return ""
}
