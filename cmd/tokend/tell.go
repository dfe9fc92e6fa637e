package main

import (
	"fmt"
	"strings"
	"unicode"
)

// tell writes to standard error. Part of it may come from a provider, or from a service
// that is not tokend.
func (p *program) tell(format string, args ...any) {
	fmt.Fprint(p.stderr, printable(fmt.Sprintf(format, args...)))
}

// print writes a result to standard output.
func (p *program) print(out string) error {
	_, err := fmt.Fprintln(p.stdout, out)
	return exitWith(exitUnavailable, err)
}

// printable is text without control characters, which a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
