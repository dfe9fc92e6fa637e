package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what "mockauth0 version" prints.
type build struct {
	Program string `json:"program"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// readBuild reads the version from the module and the commit from the build.
func readBuild() build {
	b := build{Program: "mockauth0", Version: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}

func (b build) line() string {
	return fmt.Sprintf("%s %s %s %s/%s", b.Program, b.Version, b.Go, runtime.GOOS, runtime.GOARCH)
}

func (p *program) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch b := readBuild(); format {
			case "text":
				_, err := fmt.Fprintln(p.stdout, b.line())
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
