package terminal

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// A pipe gets the form that scripts rely on, whatever the environment says.
func TestScreenOf_IsATerminalOnly(t *testing.T) {
	env := func(name string) string { return map[string]string{"TERM": "xterm"}[name] }
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, and no terminal
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for _, w := range []io.Writer{null, &bytes.Buffer{}} {
		if s := Of(w, env); s.IsTerminal() || s.Colours {
			t.Errorf("%T: %+v", w, s)
		}
	}
}

func TestWrap(t *testing.T) {
	const url = "https://tenant.example.com/authorize?client_id=demo&state=abcdefgh"
	s := Screen{Width: 40}
	for _, c := range []struct {
		s              Screen
		indent         int
		text, expected string
	}{
		{Screen{}, 4, "no terminal: " + url, "no terminal: " + url},
		{s, 4, "short", "short"},
		{s, 4, "twelve words that do not fit on one line of this terminal at all", "twelve words that do not fit on one\n    line of this terminal at all"},
		{s, 4, "log in, or open " + url, "log in, or open\n" + url},
		{s, 4, "open " + url + " and wait", "open\n" + url + "\n    and wait"},
		{s, 4, url, "\n" + url},
		{s, 4, "see http://localhost:8484/ there", "see http://localhost:8484/ there"},
		{s, 35, "no room for a column", "no room for a column"},
	} {
		if got := c.s.Wrap(c.indent, c.text); got != c.expected {
			t.Errorf("%q: %q, want %q", c.text, got, c.expected)
		}
	}
}

func TestMoment(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", time.Second: "in 1s", 59*time.Second + 999*time.Millisecond: "in 59s",
		90 * time.Second: "in 1m", 59 * time.Minute: "in 59m", 23*time.Hour + 59*time.Minute: "in 23h", 47 * time.Hour: "in 47h",
		48 * time.Hour: "in 2d", 30 * 24 * time.Hour: "in 30d", -3 * time.Minute: "3m ago", -49 * time.Hour: "2d ago", -10 * time.Minute: "10m ago", 20 * time.Hour: "in 20h",
	} {
		if got := (Screen{Width: 80}).Moment(noon.Add(d), noon); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := (Screen{}).Moment(noon, noon); got != "2026-08-01T12:00:00Z" {
		t.Errorf("in a pipe: %q", got)
	}
	if got := (Screen{Width: 80}).Moment(time.Time{}, noon); got != "-" {
		t.Errorf("unknown: %q", got)
	}
}
