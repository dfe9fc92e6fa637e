package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) healthcheck() *cobra.Command {
	return &cobra.Command{
		Use: "healthcheck", Short: "Exit with 0 if the service answers, else with 69", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := locateService() // health needs no key
			if err != nil {
				return err
			}
			if _, err := s.health(cmd.Context()); err != nil {
				return &exitError{code: exitUnavailable, err: err}
			}
			fmt.Fprintln(p.stdout, "ok")
			return nil
		},
	}
}
