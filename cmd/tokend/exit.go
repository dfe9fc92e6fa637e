package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/tokend/cmd/internal/exitcode"
	"example.com/tokend/internal/child"
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/format"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
)

// The exit codes. Package exitcode says what they mean.
const (
	exitUsage       = exitcode.Usage
	exitNoClient    = exitcode.NoClient
	exitUnavailable = exitcode.Unavailable
	exitTryAgain    = exitcode.TryAgain
	exitProtocol    = exitcode.Protocol
	exitNoPerm      = exitcode.NoPerm
	exitConfig      = exitcode.Config
)

// The exit codes of a shell for a command that it cannot run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// exitError is an error with the exit code of the process.
type exitError struct {
	code   int
	hint   string // what to do about it; "": what err says of that
	reason string // the service's error code; "" when it did not refuse
	remedy string
	err    error

	retryAfter time.Duration // when trying again helps, how soon; 0: not said
	told       bool          // the caller knows, by a protocol: nothing is reported
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Hint returns what to do about the error, "" when nothing is known.
func (e *exitError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return hint.Of(e.err)
}

// exitf returns an error that ends the process with code.
func exitf(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// hintf is exitf with a hint.
func hintf(code int, hint, format string, args ...any) error {
	return &exitError{code: code, hint: hint, err: fmt.Errorf(format, args...)}
}

// exitWith gives err an exit code unless it has one.
func exitWith(code int, err error) error {
	if e := (*exitError)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &exitError{code: code, err: err}
}

// exitCode returns the exit code that an error carries: one of the service has it from
// exitFrom (cmd/internal/exitcode). An error without one comes from the parser of the
// command line.
func exitCode(err error) int {
	var e *exitError
	var f config.Faults
	var command child.Exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &command):
		return int(command)
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &f):
		return exitConfig
	default:
		return exitUsage
	}
}

// codeOfClass is the exit code for a problem that a check has found.
func codeOfClass(class flow.Class) int {
	if class == classNoService {
		return exitUnavailable
	}
	return exitcode.OfClass(string(class))
}

// worst is the code of several that says the most: what is wrong here comes
// before what may pass.
func worst(codes []int) int {
	for _, code := range []int{exitConfig, exitUnavailable, exitNoPerm, exitProtocol, exitTryAgain} {
		if slices.Contains(codes, code) {
			return code
		}
	}
	return 0
}

// failures are several errors, each with its hint.
type failures []error

// Error returns a line for each.
func (f failures) Error() string {
	lines := make([]string, len(f))
	for i, err := range f {
		lines[i] = err.Error()
		if advice := hint.Of(err); advice != "" {
			lines[i] += "; hint: " + advice
		}
	}
	return strings.Join(lines, "\n")
}

// report is what a person reads of err: one line, and one with a hint; of a
// configuration, one line for each fault.
func report(err error) string {
	var f config.Faults
	var several failures
	var command child.Exit
	switch {
	case errors.As(err, &command):
		return ""
	case errors.As(err, &f):
		return "error: " + strings.ReplaceAll(f.Error(), "\n", "\nerror: ") + "\n"
	case errors.As(err, &several):
		return "error: " + strings.ReplaceAll(several.Error(), "\n", "\nerror: ") + "\n"
	}
	if e := (*exitError)(nil); errors.As(err, &e) && e.told {
		return ""
	}
	text := "error: " + err.Error() + "\n"
	advice := hint.Of(err)
	if helps(err) {
		advice = "tokend --help"
	}
	if advice != "" {
		text += "hint: " + advice + "\n"
	}
	return text
}

// helps says whether the hint of err is the help of the command line: it is
// wrong, and nothing says better what to do.
func helps(err error) bool {
	var e *exitError
	told := errors.As(err, &e) && (e.told || e.reason != "")
	return exitCode(err) == exitUsage && !told && hint.Of(err) == ""
}

// pointed is err with the help of the command that ran as its hint, where the
// help is the hint.
func pointed(err error, command string) error {
	if err == nil || !helps(err) {
		return err
	}
	return hintf(exitUsage, command+" --help", "%w", err)
}

// exitFrom adds the exit code to an error of the service's client or of a form.
func exitFrom(err error) error {
	if told := (*format.Told)(nil); errors.As(err, &told) {
		return &exitError{code: 1, err: told.Err, told: true}
	}
	code, known := exitcode.Of(err)
	if e := (*exitError)(nil); !known || errors.As(err, &e) {
		return err
	}
	out := &exitError{code: code, hint: exitcode.Hint(err), err: &worded{exitcode.Text(err), err}}
	var e *tokend.Error
	if errors.As(err, &e) {
		out.remedy, out.retryAfter = e.Remedy, e.RetryAfter
		if e.Status != 0 { // it is an answer
			out.reason = e.Code
		}
	}
	return out
}
