package format

import "fmt"

// Kind is what an error is about. Commands choose their exit code by it.
type Kind int

// The kinds of errors. A refusal of the service is a [*tokend.Error].
const (
	Usage         Kind = iota // the command line, or the query on standard input
	NoClient                  // no client serves the host
	Unavailable               // a file cannot be written
	Protocol                  // a token that cannot be read
	Refused                   // the token may not go there
	Configuration             // a setting of the client or of the calling tool
	Provider                  // the provider refused another token; Class says why
)

// Error is an error of this package.
type Error struct {
	Kind  Kind
	Class string // of a Provider error: the service's error code

	hint string
	err  error
}

func (e *Error) Error() string { return e.err.Error() }

// Hint returns what to do, "" when the text says it.
func (e *Error) Hint() string { return e.hint }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// errorf returns an error. One of the command line has its help as the default hint.
func errorf(kind Kind, hint, format string, args ...any) error {
	if kind == Usage && hint == "" {
		hint = "tokend token --help"
	}
	return &Error{Kind: kind, hint: hint, err: fmt.Errorf(format, args...)}
}

// Told is an error that the form has already reported in its answer. The process ends with
// exit status 1 and prints nothing else.
type Told struct{ Err error }

func (t *Told) Error() string { return t.Err.Error() }

// Unwrap returns the error that was reported.
func (t *Told) Unwrap() error { return t.Err }
