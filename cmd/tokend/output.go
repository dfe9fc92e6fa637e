package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/terminal"
)

// tell writes to standard error. Part of it may come from a provider, or from a service
// that is not tokend.
func (p *program) tell(format string, args ...any) {
	fmt.Fprint(p.stderr, terminal.Printable(fmt.Sprintf(format, args...)))
}

// print writes a result to standard output.
func (p *program) print(out string) error {
	_, err := fmt.Fprintln(p.stdout, out)
	return exitWith(exitUnavailable, err)
}

// screenOf returns the terminal behind w.
func (p *program) screenOf(w io.Writer) terminal.Screen {
	if p.screen != nil {
		return p.screen(w)
	}
	return terminal.Of(w, os.Getenv)
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
