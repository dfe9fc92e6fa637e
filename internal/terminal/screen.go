// Package terminal is the person's end of a command: it formats what they read on a
// terminal, colours, widths, times and QR codes, and reads the lines that they type.
package terminal

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Screen is the terminal that output goes to. Its zero value is none: a pipe or a
// file, whose form other programs rely on.
type Screen struct {
	Width, Height int // in characters; 0: not a terminal
	Colours       bool
}

// Of returns the screen behind w; getenv looks TERM and NO_COLOR up.
func Of(w io.Writer, getenv func(string) string) Screen {
	f, ok := w.(*os.File)
	if !ok || getenv("TERM") == "dumb" {
		return Screen{}
	}
	width, height, ok := windowSize(f)
	if !ok {
		return Screen{}
	}
	if width < minWidth { // 0: not known
		width = defaultWidth
	}
	return Screen{width, height, getenv("NO_COLOR") == ""} // https://no-color.org
}

// IsTerminal reports whether a person reads what is written.
func (s Screen) IsTerminal() bool { return s.Width > 0 }

const (
	defaultWidth = 80
	minWidth     = 20
)

// Colour is an SGR code of ANSI terminals.
type Colour string

// The colours of states and results.
const (
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"

	whiteOnBlack Colour = "40;37" // of QR codes, whatever the theme
)

// Paint returns text in a colour, where there are any.
func (s Screen) Paint(c Colour, text string) string {
	if !s.Colours || c == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Wrap breaks text into lines that fit the screen next to an indent. A URL that does
// not fit gets a line of its own without one, so that it can be clicked and copied.
func (s Screen) Wrap(indent int, text string) string {
	room := s.Width - indent
	if !s.IsTerminal() || room < minWidth {
		return text
	}
	margin := "\n" + strings.Repeat(" ", indent)
	var b strings.Builder
	used, alone := 0, false // alone: the last word has a line of its own
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		url := n > room && (strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://"))
		switch {
		case url:
			b.WriteString("\n")
			used = 0
		case alone:
			b.WriteString(margin)
			used = 0
		case i > 0 && used+1+n > room && used > 0:
			b.WriteString(margin)
			used = 0
		case i > 0:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += n
		alone = url
	}
	return b.String()
}

// Lines wraps each line of a report.
func (s Screen) Lines(report string) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		text, newline := strings.CutSuffix(line, "\n")
		b.WriteString(s.Wrap(len("hint: "), text))
		if newline {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// Fit shortens text to n characters.
func Fit(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:max(0, n-1)]) + "…"
}

// Moment is a time as a person reads it on a terminal: how long until then, or since.
// Elsewhere it is RFC 3339.
func (s Screen) Moment(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero() || !s.IsTerminal():
		return Time(t)
	case d >= time.Second:
		return "in " + Rough(d)
	case d <= -time.Second:
		return Rough(-d) + " ago"
	}
	return "now"
}

// Time is a time in RFC 3339, "-" when it is not known.
func Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// Rough is a duration in its largest unit.
func Rough(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	case d < 2*day:
		return strings.TrimSuffix(d.Truncate(time.Hour).String(), "0m0s")
	}
	return strings.TrimSuffix((d/day*time.Hour).String(), "h0m0s") + "d"
}

// Printable is text without control characters, which a terminal would obey.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
