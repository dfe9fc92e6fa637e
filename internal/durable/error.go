// Package durable writes files that survive a crash, and reads secrets from files
// that no other user can have written or read.
//
// [Replace] and [Create] write a file atomically and sync it; [SyncDir] makes its
// name durable. [ReadSecret] and [CheckDir] are the one policy for owners and modes.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Error says why a file or directory is refused or cannot be used. Its text begins
// with the path, so that a caller can prefix the kind of file.
type Error struct {
	text, hint string
	err        error
}

// Error returns what is wrong.
func (e *Error) Error() string { return e.text }

// Hint returns what to do about it.
func (e *Error) Hint() string { return e.hint }

// Unwrap returns the system's error, or nil.
func (e *Error) Unwrap() error { return e.err }

func refuse(hint, format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...), hint: hint}
}

// Cause is the system's reason, without an operation and a path: the caller names
// the path, and and the name of a temporary file does not help.
func Cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	}
	return err
}
