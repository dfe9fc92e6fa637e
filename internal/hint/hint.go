// Package hint adds advice to errors: what to do about them. An error's text says
// what is wrong, and commands, answers and log lines show the hint after it.
package hint

import (
	"errors"
	"fmt"
	"strings"
)

// Errorf returns an error as [fmt.Errorf] does, with a hint.
func Errorf(hint, format string, args ...any) error {
	return &hinted{error: fmt.Errorf(format, args...), hint: hint}
}

// Of returns the hint of the first error in err's tree that has one, or "".
func Of(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

type hinted struct {
	error
	hint string
}

// Hint returns what to do.
func (h *hinted) Hint() string { return h.hint }

func (h *hinted) Unwrap() error { return h.error }

// LogIn adds the command that logs in to a hint. Most hints end with the words for it.
func LogIn(hint, command string) string {
	last := hint[strings.LastIndexByte(hint, ';')+1:]
	switch {
	case hint == "":
		return command
	case strings.Contains(last, "log in"), strings.Contains(last, "login"):
		return hint + ": " + command
	}
	return hint + "; to log in: " + command
}
