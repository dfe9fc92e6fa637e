package main

import (
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/format"
)

// helperOf returns the hidden subcommand for the process's name: a link to tokend with
// the name of a credential helper works like tokend-credential.
func helperOf(name string) []string {
	name = strings.TrimSuffix(name, ".exe")
	if _, ok := format.Helpers()[name]; ok {
		return []string{name}
	}
	return nil
}

// helpers are the hidden subcommands, one for each name of a credential helper.
func (p *program) helpers() []*cobra.Command {
	var list []*cobra.Command
	for name, form := range format.Helpers() {
		var o format.Options
		var r format.Request
		cmd := &cobra.Command{
			Use: name, Hidden: true, Short: form.Help,
			Args: func(_ *cobra.Command, args []string) (err error) {
				r, err = form.Request(args, o)
				return exitFrom(err)
			},
			RunE: func(cmd *cobra.Command, _ []string) error {
				return p.printForm(cmd.Context(), form, r, connect)
			},
		}
		requestFlags(cmd, &o)
		list = append(list, cmd)
	}
	return list
}
