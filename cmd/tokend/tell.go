package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// tell writes to the person. Part of it may come from a service that is not
// tokend, or from a tenant.
func (p *program) tell(format string, args ...any) {
	fmt.Fprint(p.stderr, printable(fmt.Sprintf(format, args...)))
}

// print writes a result to standard output.
func (p *program) print(out string) error {
	_, err := fmt.Fprintln(p.stdout, out)
	return exitWith(exitUnavailable, err)
}

// printable is text without control characters, which are orders to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// terminal is a writer of what is printable.
type terminal struct{ io.Writer }

func (t terminal) Write(b []byte) (int, error) {
	if _, err := io.WriteString(t.Writer, printable(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
