package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/version"
)

// Exit codes, as sysexits.h names them.
const (
	exitFailure     = 1
	exitUsage       = 64
	exitUnavailable = 69
	exitConfig      = 78
)

// program is the command as a value, so that a test can start it.
type program struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	public, lax    bool
	untilEOF       bool // end when stdin ends
	tenant         []string
	replay         string
	persistFile    string
	several        bool // MOCKAUTH0_TENANTS is set
}

// exitError carries an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func configError(format string, args ...any) error {
	return &exitError{exitConfig, fmt.Errorf(format, args...)}
}

// main runs the command and returns the process's exit code.
func (p *program) main(ctx context.Context) int {
	root := p.command()
	root.SetArgs(p.args)
	command, err := root.ExecuteContextC(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		fmt.Fprintf(p.stderr, "mockauth0: %v\n", err)
		return exit.code
	}
	fmt.Fprintf(p.stderr, "mockauth0: %v\nhint: %s --help\n", err, command.CommandPath())
	return exitUsage
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mockauth0",
		Short: "A mock Auth0 tenant that rejects what a real one rejects",
		Long: "A mock Auth0 tenant for tests and local development. It answers as Auth0 is documented\n" +
			"and recorded to answer, keeps everything in memory and loses it at exit, unless serve has --persist.",
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context()) },
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Version = version.Read("mockauth0").String()
	root.SetVersionTemplate("{{.Version}}\n")
	serve := &cobra.Command{
		Use: "serve", Short: "Listen until interrupted (the default)", Long: settingsHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context()) },
	}
	health := &cobra.Command{
		Use: "healthcheck", Short: "Exit with 0 if the tenant at MOCKAUTH0_LISTEN answers, else with 69", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.healthcheck(cmd.Context()) },
	}
	for _, c := range []*cobra.Command{root, serve} {
		c.Flags().StringSliceVar(&p.tenant, "tenant", nil, "file or directory of an auth0-deploy-cli export (default: MOCKAUTH0_TENANT)")
		c.Flags().StringVar(&p.replay, "replay", "", "answer as recorded in a file of mockauth0 record (default: MOCKAUTH0_REPLAY)")
		c.Flags().StringVar(&p.persistFile, "persist", "", "file that keeps clients, users and the other objects of a tenant file over restarts; it has secrets (default: MOCKAUTH0_PERSIST)")
		c.Flags().BoolVar(&p.public, "public", false, "allow listeners on other than loopback addresses, where anyone on the network can use them, and any host name for /_mock/")
		c.Flags().BoolVar(&p.lax, "lax", false, "accept settings with which a real tenant refuses what the mock allows; they have no effect")
		c.Flags().BoolVar(&p.untilEOF, "until-eof", false, "end when standard input ends, so that the tenant does not outlive the program that started it")
	}
	root.AddCommand(serve, p.caCommand(), p.contractCommand(), p.recordCommand(), p.exportCommand(), health, p.tokenCommand(), p.versionCommand())
	return root
}
