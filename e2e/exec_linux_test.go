package e2e_test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal and returns its two sides.
func terminal(t *testing.T) (person, programs *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	programs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = programs.Close() })
	return person, programs
}

// On a terminal, Ctrl-C and Ctrl-\ reach the command once, from the terminal; a
// signal to tokend alone reaches it through tokend. The command may read.
func TestExec_OnTerminal(t *testing.T) {
	s := execTenant(t)
	person, programs := terminal(t)
	cmd := s.tokend("exec", "demo", "--", "sh", "-c", "read line; echo $line >line; "+recorder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = programs, programs, programs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, person) }() // ends with the terminal
	press := func(keys string) {
		t.Helper()
		if _, err := person.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	got := func(lines string) func() bool {
		return func() bool {
			b, _ := os.ReadFile(s.dir + "/got")
			return len(b) >= len(lines)
		}
	}
	press("words\n")
	wait(t, "the command", s.has("ready"))
	want := ""
	for range 20 { // two concurrent signals may look like one, but not every time
		press("\x03")
		want += "INT\n"
		wait(t, "Ctrl-C", got(want))
		press("\x1c")
		want += "QUIT\n"
		wait(t, "Ctrl-\\", got(want))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want += "TERM\n"
	wait(t, "SIGTERM", got(want))
	stop(t, s)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit %d", code)
	}
	if all := s.read(t, "got"); all != want {
		t.Errorf("the command got %q", strings.Fields(all))
	}
	if line := s.read(t, "line"); line != "words\n" {
		t.Errorf("it read %q", line)
	}
}

// kill -9 of tokend also ends the command (on Linux) and leaves a usable store.
func TestExec_Killed(t *testing.T) {
	s := execTenant(t)
	cmd := s.tokend("exec", "demo", "--", "sh", "-c", "trap 'touch told; exit' TERM; echo $DEMO_ACCESS_TOKEN >ready; while :; do sleep 0.02; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", s.has("ready"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	wait(t, "the end of the command", s.has("told"))
	out, err := s.tokend("exec", "demo", "--", "sh", "-c", "echo $DEMO_ACCESS_TOKEN").Output()
	if err != nil || string(out) != s.read(t, "ready") {
		t.Errorf("afterwards: %v", err)
	}
	if f := s.control(t, "GET", "families", ""); !strings.Contains(f, `"count":1,`) || strings.Contains(f, "revoked") {
		t.Errorf("families: %s", f)
	}
}
