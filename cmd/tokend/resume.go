package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const resumeHelp = `Allows the refresh of a client after its store was restored from an older copy.

tokend detects that and sends nothing, because the refresh token in that copy may
have been used since: the provider would then revoke the grant. Resume if you
know that it was not used. Otherwise log in again.`

func (p *program) resume() *cobra.Command {
	return &cobra.Command{
		Use: "resume NAME", Short: "Use a grant of a store that was restored from an older copy", Long: resumeHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := reach(cmd.Context())
			if err != nil {
				return err
			}
			c, err := aboutClient(cmd.Context(), args[0], s.Resume)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: resumed, state %s\n", c.Client, c.State)
			return nil
		},
	}
}
