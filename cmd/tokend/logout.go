package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout NAME", Short: "Revoke and remove a client's grant", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := reach(cmd.Context())
			if err != nil {
				return err
			}
			c, err := aboutClient(cmd.Context(), args[0], s.Logout)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: logged out\n", c.Client)
			return nil
		},
	}
}
