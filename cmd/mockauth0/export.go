package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/tenantfile"
	"example.com/tokend/pkg/mock"
)

const exportHelp = `Print the tenant file of the objects of the running tenant at MOCKAUTH0_LISTEN (or
MOCKAUTH0_CONTROL_LISTEN) as they are now, also of those that the Management API made.
serve --tenant loads it again. It has the secrets of clients and the passwords of users,
and no sessions, tokens, invitations, keys and journal.`

func (p *program) exportCommand() *cobra.Command {
	var output, url string
	var force bool
	c := &cobra.Command{
		Use: "export", Short: "Print the tenant file of a running tenant", Long: exportHelp, Args: cobra.NoArgs,
		Example: "  mockauth0 export --output tenant.yaml\n  mockauth0 serve --tenant tenant.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.export(cmd.Context(), url, output, force) },
	}
	c.Flags().StringVar(&output, "output", "", "file to write, which only its user can read, because it has secrets (default: standard output)")
	c.Flags().BoolVar(&force, "force", false, "replace the file of --output if there is one")
	c.Flags().StringVar(&url, "url", "", "address of the tenant's plain listener (default: from MOCKAUTH0_LISTEN)")
	return c
}

func (p *program) export(ctx context.Context, url, output string, force bool) error {
	output, err := mayReplace(output, force)
	if err != nil {
		return err
	}
	base, err := controlURL(url)
	if err != nil {
		return err
	}
	e, err := fetchExport(ctx, base+"_mock/export")
	if err != nil {
		return err
	}
	text, err := tenantfile.YAML(e.File)
	if err != nil {
		return err
	}
	for _, line := range e.NotExported {
		fmt.Fprintf(p.stderr, "mockauth0: not exported: %s\n", line)
	}
	if output == "" {
		_, err = p.stdout.Write(text)
		return err
	}
	if err := durable.Replace(output, 0o600, text); err != nil {
		return &exitError{exitFailure, fmt.Errorf("cannot write the export: %w\nhint: name a file in a directory that you can write to: --output", err)}
	}
	return nil
}

// mayReplace returns the file to write, which for a link is the one that it leads to. A
// directory or a device, such as /dev/null, is never replaced.
func mayReplace(path string, force bool) (string, error) {
	if _, err := os.Lstat(path); err != nil { // nothing is replaced, or the write reports why it cannot be
		return path, nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return "", &exitError{exitFailure, fmt.Errorf("%s is not a regular file\nhint: name another file, or leave out --output for standard output", path)}
	case !force:
		return "", &exitError{exitFailure, fmt.Errorf("%s exists\nhint: name another file, or replace it: --force", path)}
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	return path, nil
}

// fetchExport gets the export of a running tenant.
func fetchExport(ctx context.Context, url string) (*mock.Export, error) {
	b, err := getWithin(ctx, url, time.Minute, 256<<20)
	var status statusError
	var e mock.Export
	switch {
	case errors.As(err, &status):
		err = fmt.Errorf("%s answers %s\nhint: give the address of a mockauth0: --url", url, string(status))
	case err != nil:
		err = fmt.Errorf("cannot reach the tenant: %w\nhint: start it: mockauth0 serve", err)
	case json.Unmarshal(b, &e) != nil || e.File == nil:
		err = fmt.Errorf("%s does not answer with an export\nhint: give the address of a mockauth0: --url", url)
	default:
		return &e, nil
	}
	return nil, &exitError{exitUnavailable, err}
}
