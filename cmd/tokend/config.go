package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/store"
)

func (p *program) config() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Check, show and begin the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.configCheck(), p.configShow(), p.configInit())
	return cmd
}

func (p *program) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the service's configuration, all of it, and change nothing", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := loadServiceSettings()
			if err != nil {
				return err
			}
			if err := store.CheckURL(s.Store); err != nil {
				return exitWith(exitConfig, err)
			}
			if s.Keyset != "" {
				if _, err := s.keyset(); err != nil {
					return err
				}
			}
			if err := s.checkAudit(); err != nil {
				return err
			}
			for _, name := range s.withPassword() {
				p.tell("warning: client %s: %s\nhint: %s\n", name, passwordGrant, passwordGrantHint)
			}
			fmt.Fprintf(p.stdout, "the configuration is valid: clients %s\n", strings.Join(namesOf(s.Clients), ", "))
			return nil
		},
	}
}

func (p *program) configShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show", Short: "Show the settings in effect and where they come from", Args: cobra.NoArgs,
		Long: `Shows the service's settings in effect: those that the file or a variable gives, and
those that have a default value. Each has its source: FILE:LINE, a variable's name
or "default". Secrets are masked.`,
		RunE: func(*cobra.Command, []string) error {
			if format != "yaml" && format != "json" {
				return exitf(exitUsage, "format %q is not one of yaml, json", format)
			}
			env := config.OS()
			list, faults := config.Show(env, config.ServicePaths(env))
			if faults != nil {
				return faults
			}
			return p.showSettings(list, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "yaml", "yaml or json")
	return cmd
}

// showSettings prints a line for each setting, or an array of them.
func (p *program) showSettings(list []config.Shown, format string) error {
	if format == "json" {
		b, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return exitWith(exitUnavailable, err)
		}
		return p.print(string(b))
	}
	var lines []string
	for _, s := range list {
		value, err := yamlValue(s.Value)
		if err != nil {
			return exitWith(exitUnavailable, err)
		}
		lines = append(lines, fmt.Sprintf("%s: %s  # %s", s.Setting, value, s.Source))
	}
	return p.print(strings.Join(lines, "\n"))
}

// yamlValue is the value of a setting on one line.
func yamlValue(v any) (string, error) {
	b, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
	return strings.TrimSpace(string(b)), err
}

func (p *program) configInit() *cobra.Command {
	return &cobra.Command{
		Use: "init [PATH]", Short: "Write a configuration file to fill in", Args: cobra.MaximumNArgs(1),
		Long: `Writes a configuration file with every setting, commented out except for the two that a
client must have. Without PATH it is the file that the service reads. A file that is
there stays.`,
		RunE: func(_ *cobra.Command, args []string) error {
			env := config.OS()
			path := config.FilePath(env, config.ServicePaths(env))
			if len(args) > 0 {
				path = args[0]
			}
			if path == "" {
				return hintf(exitConfig, "name a path, or set HOME", "there is no default path for the file")
			}
			if err := config.WriteExample(path); err != nil {
				return exitWith(exitConfig, err)
			}
			return p.print(path)
		},
	}
}
