package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/version"
)

func (p *program) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch b := version.Read("mockauth0"); format {
			case "text":
				_, err := fmt.Fprintln(p.stdout, b)
				return err
			case "json":
				return json.NewEncoder(p.stdout).Encode(b)
			}
			return fmt.Errorf("--format %q is not one of text, json", format)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}
