package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/terminal"
)

func (p *program) refresh() *cobra.Command {
	return &cobra.Command{
		Use: "refresh NAME", Short: "Get a new access token now, for example after a 401", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := reach(cmd.Context())
			if err != nil {
				return err
			}
			c, err := s.refresh(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: refreshed, token until %s\n", c.Client, terminal.Time(c.Expiry))
			return nil
		},
	}
}
