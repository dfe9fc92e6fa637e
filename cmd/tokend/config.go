package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) config() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Look at the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "check", Short: "Check the service's configuration, all of it, and change nothing", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := loadServiceSettings()
			if err != nil {
				return err
			}
			var names []string
			for _, c := range s.Clients {
				names = append(names, c.Name)
			}
			fmt.Fprintf(p.stdout, "the configuration is good: clients %s\n", strings.Join(names, ", "))
			return nil
		},
	})
	return cmd
}
