package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// screen is the terminal that output goes to. Its zero value is none: a pipe or a
// file, whose form other programs rely on.
type screen struct {
	width, height int // in characters; 0: not a terminal
	colours       bool
}

// terminal reports whether a person reads what is written.
func (s screen) terminal() bool { return s.width > 0 }

// screenOf returns the screen behind w.
func (p *program) screenOf(w io.Writer) screen {
	if p.screen != nil {
		return p.screen(w)
	}
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return screen{}
	}
	width, height, ok := windowSize(f)
	if !ok {
		return screen{}
	}
	if width < minWidth { // 0: not known
		width = defaultWidth
	}
	return screen{width, height, os.Getenv("NO_COLOR") == ""} // https://no-color.org
}

const (
	defaultWidth = 80
	minWidth     = 20
)

// colour is an SGR code of ANSI terminals.
type colour string

const (
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"

	whiteOnBlack colour = "40;37" // of QR codes, whatever the theme
)

// paint returns text in a colour, where there are any.
func (s screen) paint(c colour, text string) string {
	if !s.colours || c == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// wrap breaks text into lines that fit the screen next to an indent. A URL that does
// not fit gets a line of its own without one, so that it can be clicked and copied.
func (s screen) wrap(indent int, text string) string {
	room := s.width - indent
	if !s.terminal() || room < minWidth {
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

// lines wraps each line of a report.
func (s screen) lines(report string) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		text, newline := strings.CutSuffix(line, "\n")
		b.WriteString(s.wrap(len("hint: "), text))
		if newline {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// fit shortens text to n characters.
func fit(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:max(0, n-1)]) + "…"
}

// moment is a time as a person reads it on a terminal: how long until then, or since.
// Elsewhere it is RFC 3339.
func (s screen) moment(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero() || !s.terminal():
		return when(t)
	case d >= time.Second:
		return "in " + rough(d)
	case d <= -time.Second:
		return rough(-d) + " ago"
	}
	return "now"
}

// rough is a duration in its largest unit.
func rough(d time.Duration) string {
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

// tableOrJSON adds --format to a command that prints one of both.
func tableOrJSON(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "table", "table or json")
	fixed := cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("format", fixed) // the flag exists
}

// checkFormat refuses a --format that is not one of both.
func checkFormat(format string) error {
	if format != "table" && format != "json" {
		return exitf(exitUsage, "format %q is not one of table, json", format)
	}
	return nil
}

// printJSON prints v on one line. URLs stay copyable.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
