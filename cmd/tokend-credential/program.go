package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"example.com/tokend/cmd/internal/exitcode"
	"example.com/tokend/internal/format"
)

// program is the command line as a value.
type program struct {
	name           string // argv[0] without its directory
	getenv         func(string) string
	now            func() time.Time
	stdin          io.Reader
	stdout, stderr io.Writer

	timeout time.Duration // 0: none
}

// usageError is a command line that is wrong.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// Hint returns what to do.
func (e *usageError) Hint() string { return e.hint }

// run prints a token in the form that the command line asks for and returns the
// exit code of the process.
func (p *program) run(ctx context.Context, args []string) int {
	form, r, err := p.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.stdout, help())
		return 0
	}
	if err == nil {
		err = p.print(ctx, form, r)
	}
	if err == nil {
		return 0
	}
	code, text := p.report(err)
	if told := (*format.Told)(nil); !errors.As(err, &told) {
		fmt.Fprint(p.stderr, printable("error: "+text+"\n"))
	}
	return code
}

// parse reads the command line: the name of a form, unless the program is called by
// a helper's, then operands and flags in any order.
func (p *program) parse(args []string) (format.Form, format.Request, error) {
	form, named := format.Helpers()[strings.TrimSuffix(p.name, ".exe")]
	if !named {
		if len(args) == 0 {
			return form, format.Request{}, &usageError{"the name of a form is missing", "tokend-credential --help"}
		}
		if isHelp(args[0]) {
			return form, format.Request{}, flag.ErrHelp
		}
		var err error
		if form, err = format.Find(args[0]); err != nil {
			return form, format.Request{}, err
		}
		args = args[1:]
	}
	var o format.Options
	flags := flag.NewFlagSet(form.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&o.MinValidity, "min-validity", 0, "")
	flags.StringVar(&o.Audience, "audience", "", "")
	flags.StringVar(&o.Scope, "scope", "", "")
	flags.StringVar(&o.Variable, "env", "", "")
	flags.BoolVar(&o.IDToken, "id-token", false, "")
	flags.DurationVar(&p.timeout, "timeout", 0, "")
	operands, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return form, format.Request{}, err
	case err != nil:
		return form, format.Request{}, &usageError{err.Error(), "tokend-credential --help"}
	case p.timeout < 0:
		return form, format.Request{}, &usageError{fmt.Sprintf("--timeout %s is negative", p.timeout), "tokend-credential --help"}
	}
	r, err := form.Request(operands, o)
	return form, r, err
}

func isHelp(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help", "help"}, arg) }

// interspersed parses flags before, between and after operands: git appends the
// operation to the command of its configuration. After "--" all are operands.
func interspersed(flags *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if before := len(args) - len(rest); len(rest) == 0 || before > 0 && args[before-1] == "--" {
			return append(operands, rest...), nil
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}

func (p *program) print(ctx context.Context, form format.Form, r format.Request) error {
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	out, err := form.Run(ctx, format.Process{
		Connect: p.connect, Stdin: p.stdin, Stdout: p.stdout, Getenv: p.getenv, Now: p.now, Version: version(),
		Warn:   func(err error) { fmt.Fprint(p.stderr, printable(fmt.Sprintf("warning: %v\n", err))) },
		Report: p.report,
	}, r)
	if len(out) > 0 {
		if _, werr := p.stdout.Write(out); werr != nil {
			return werr
		}
	}
	return err
}

func (p *program) connect(context.Context) (format.Source, error) { return format.Dial(p.getenv) }

// report returns the exit code of err and what a person reads of it: a line, and one
// with the hint.
func (p *program) report(err error) (code int, text string) {
	var usage *usageError
	code, known := exitcode.Of(err)
	text, hint := exitcode.Text(err), exitcode.Hint(err)
	switch {
	case p.timeout > 0 && errors.Is(err, context.DeadlineExceeded):
		code, text, hint = exitcode.TryAgain, fmt.Sprintf("the command took longer than --timeout %s", p.timeout), "try again, or give it more time"
	case errors.As(err, &usage):
		code = exitcode.Usage
	case !known: // the output cannot be written
		code = exitcode.Unavailable
	}
	if told := (*format.Told)(nil); errors.As(err, &told) {
		code = 1
	}
	if hint != "" {
		text += "\nhint: " + hint
	}
	return code, text
}

// printable is text without control characters, which are commands to a terminal.
// Part of it may come from a service that is not tokend, or from a provider.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

func help() string {
	var b strings.Builder
	b.WriteString(`Prints a fresh access token of a running tokend, in the form that another program
reads. It does what "tokend token NAME --format FORM" does, and starts faster.

  tokend-credential FORM NAME [OPERATION] [flags]

Forms:
`)
	for _, f := range format.Forms() {
		fmt.Fprintf(&b, "  %-22s %s\n", f.Name, f.Help)
	}
	fmt.Fprintf(&b, `
As a link with one of these names it is that helper, and the host that is asked for
chooses the client:
  %s

Flags: --min-validity 30m, --audience API, --scope "A B", --env NAME (env, github),
--id-token (text, json, header), --timeout 30s.
The exit codes are those of tokend. It finds the service as tokend does.
`, strings.Join(slices.Sorted(maps.Keys(format.Helpers())), "\n  "))
	return b.String()
}
