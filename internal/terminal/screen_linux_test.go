package terminal

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal returns a pseudo terminal of this size.
func newTerminal(t *testing.T, width, height uint16) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestScreenOf_PseudoTerminal(t *testing.T) {
	f := newTerminal(t, 100, 40)
	for env, want := range map[string]Screen{
		"X=": {100, 40, true}, "NO_COLOR=1": {100, 40, false}, "TERM=dumb": {},
	} {
		t.Run(env, func(t *testing.T) {
			name, value, _ := strings.Cut(env, "=")
			if got := Of(f, func(asked string) string { return map[string]string{"TERM": "xterm", name: value}[asked] }); got != want {
				t.Errorf("%+v", got)
			}
		})
	}
	if got := Of(newTerminal(t, 0, 0), func(string) string { return "" }); got.Width != defaultWidth {
		t.Errorf("of unknown width: %+v", got)
	}
}
