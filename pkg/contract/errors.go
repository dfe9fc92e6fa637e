package contract

import "fmt"

// hintError is an error with a hint: what to do about it.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint says what to do.
func (e *hintError) Hint() string { return e.hint }

// hinted returns an error with a hint.
func hinted(hint, format string, args ...any) error {
	return &hintError{fmt.Errorf(format, args...), hint}
}
