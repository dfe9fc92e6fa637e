package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/version"
)

func (p *program) version() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch b := version.Read("tokend"); format {
			case "text":
				return p.print(b.String())
			case "json":
				return exitWith(exitUnavailable, json.NewEncoder(p.stdout).Encode(b))
			}
			return exitf(exitUsage, "format %q is not one of text, json", format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func versionLine() string { return fmt.Sprintln(version.Read("tokend")) }

// buildVersion returns the version without the other details.
func buildVersion() string { return version.Read("tokend").Version }
