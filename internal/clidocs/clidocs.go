// Package clidocs writes the reference of a program's command line, in Markdown, from its
// commands. Only tests import it.
package clidocs

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Markdown returns the reference of a command and those below it, without hidden ones.
func Markdown(root *cobra.Command) string {
	root.InitDefaultHelpFlag()
	var b strings.Builder
	write(&b, root)
	return b.String()
}

func write(b *strings.Builder, cmd *cobra.Command) {
	level := "##"
	if cmd.HasParent() {
		level = "###"
	}
	fmt.Fprintf(b, "%s %s\n\n", level, cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(b, "```text\n%s\n", strings.TrimSpace(text))
	if cmd.Runnable() {
		fmt.Fprintf(b, "\nUsage: %s\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n%s\n", cmd.Example)
	}
	b.WriteString("```\n\n")
	flags(b, cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			write(b, sub)
		}
	}
}

// flags writes the flags of a command that its parents do not have.
func flags(b *strings.Builder, cmd *cobra.Command) {
	var rows strings.Builder
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(&rows, "| `%s` | %s |\n", name, strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(usage))
	})
	if rows.Len() > 0 {
		b.WriteString("| flag | |\n|---|---|\n" + rows.String() + "\n")
	}
}
