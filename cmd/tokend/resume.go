package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const resumeHelp = `Lets a client be refreshed again whose store was put back to an older copy.

tokend notices that and sends nothing, because the refresh token of that copy may
have been used since: the provider would then revoke the grant. Resume when you
know that it was not. Otherwise log in again.`

func (p *program) resume() *cobra.Command {
	return &cobra.Command{
		Use: "resume NAME", Short: "Use a grant of a store that was put back to an older copy", Long: resumeHelp, Args: cobra.ExactArgs(1),
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
