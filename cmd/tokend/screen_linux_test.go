package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal returns both ends of a pseudo terminal of this size: what is written to
// tty is read from screen.
func newTerminal(t *testing.T, width, height uint16) (tty, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	return tty, screen
}

// What a person sees of "tokend doctor" in a terminal has colours and fits.
func TestDoctor_OnAPseudoTerminal(t *testing.T) {
	p := newPlace(t)
	t.Setenv("TERM", "xterm")
	tty, screen := newTerminal(t, 80, 40)
	setenv(t, "XDG_CONFIG_HOME=relative")
	seen := make(chan string)
	go func() {
		b, _ := io.ReadAll(screen) // ends with an error when the other end is closed
		seen <- string(b)
	}()
	o := &p.program
	o.stdout, o.stderr = tty, tty
	if code := o.run(t.Context(), []string{"doctor", "-q"}); code != 0 {
		t.Errorf("exit %d", code)
	}
	_ = tty.Close()
	text := strings.ReplaceAll(<-seen, "\r\n", "\n")
	if !strings.Contains(text, "\x1b[33mwarning\x1b[0m  directories  XDG_CONFIG_HOME is") {
		t.Errorf("%q", text)
	}
	for line := range strings.Lines(text) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80+len("\x1b[33m\x1b[0m") {
			t.Errorf("%d characters: %q", n, line)
		}
	}
}
