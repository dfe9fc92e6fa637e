package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/terminal"
	"example.com/tokend/pkg/flow"
)

const exportHelp = `Copies all grants of the store to a file ("-": stdout), to import them into another store.

The file is sealed with the store key: to import it, the keyset file of this store is
needed. Afterwards the grants are here, too, but marked as moved: a service on this
store serves the access tokens that it has, and sends nothing for these clients until
"tokend resume NAME" or a login. So two stores never use one refresh token. Import the
file into one store only, and delete it. Pending logins are not copied.`

const importHelp = `Saves the grants of an export ("-": stdin) in the store, while services may use it.

A grant that the store has in a later state stays, and is reported. If the store has
another key than the one that was exported, name that store's keyset file. To undo an
export, import it into its own store.`

func (p *program) store() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Move grants between stores", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.storeExport(), p.storeImport())
	return cmd
}

func (p *program) storeExport() *cobra.Command {
	return &cobra.Command{
		Use: "export FILE|-", Short: "Copy all grants to a sealed file, and stop refreshing them here", Long: exportHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.exportStore(cmd.Context(), args[0]) },
	}
}

func (p *program) storeImport() *cobra.Command {
	keyset := ""
	cmd := &cobra.Command{
		Use: "import FILE|-", Short: "Save the grants of an export", Long: importHelp, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.importStore(cmd.Context(), args[0], keyset) },
	}
	cmd.Flags().StringVar(&keyset, "keyset", "", "keyset `file` of the store that was exported; default: this store's")
	return cmd
}

func (p *program) exportStore(ctx context.Context, path string) (err error) {
	write, err := p.newSecretFile(path)
	if err != nil {
		return err
	}
	_, grants, err := existingStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, grants.Close()) }()
	n, err := grants.Export(ctx, p.clock(), write)
	if err != nil {
		return transferFailed(err)
	}
	p.tell("exported %s; this store sends nothing for them until tokend resume NAME or a login\n", counted(n, "grant"))
	return nil
}

// newSecretFile returns a function that writes a new file for its owner alone; "-":
// stdout.
func (p *program) newSecretFile(path string) (write func([]byte) error, err error) {
	if path == "-" {
		return func(b []byte) error { _, err := p.stdout.Write(b); return err }, nil
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, hintf(exitConfig, "name a new file", "%s exists", path)
	}
	return func(b []byte) error {
		if err := cmp.Or(durable.Create(path, 0o600, b), durable.SyncDir(filepath.Dir(path))); err != nil {
			return hintf(exitUnavailable, "name a file in a directory that exists, that you can write to and that has space left",
				"%s cannot be written: %w", path, durable.Cause(err))
		}
		return nil
	}, nil
}

// transferFailed gives an error of an export or import its exit code.
func transferFailed(err error) error {
	if errors.Is(err, flow.ErrLocked) || errors.Is(err, store.ErrDisk) {
		return exitWith(exitTryAgain, err)
	}
	return exitWith(exitConfig, err)
}

func (p *program) importStore(ctx context.Context, path, keysetFile string) (err error) {
	s, err := storeSettings()
	if err != nil {
		return err
	}
	b, err := p.readExport(path)
	if err != nil {
		return err
	}
	var keys *seal.Keyset
	if keysetFile != "" {
		if keys, err = store.ReadKeyset(keysetFile); err != nil {
			return exitWith(exitConfig, err)
		}
	}
	grants, err := s.openStore(ctx)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	defer func() { err = cmp.Or(err, grants.Close()) }()
	r, err := grants.Import(ctx, b, keys)
	if err != nil {
		return transferFailed(err)
	}
	fmt.Fprintf(p.stdout, "imported %s; the store already had %d\n", counted(r.Grants, "grant"), r.Present)
	if len(r.Refused) > 0 {
		return hintf(exitConfig, "nothing is to be done if the store's grants are the ones in use",
			"not imported, because the store has a later one: %s of %s", counted(len(r.Refused), "grant"), terminal.Printable(clientsOf(r.Refused)))
	}
	return nil
}

// clientsOf returns the clients of keys of grants, which are name, client id and issuer.
func clientsOf(keys []string) string {
	var names []string
	for _, key := range keys {
		var parts []string
		if json.Unmarshal([]byte(key), &parts) == nil && len(parts) == 3 {
			key = parts[0] + " at " + parts[2]
		}
		names = append(names, key)
	}
	return strings.Join(names, ", ")
}

func (p *program) readExport(path string) ([]byte, error) {
	if path == "-" {
		b, err := store.ReadExport(p.stdin)
		return b, exitWith(exitConfig, err)
	}
	const advice = "name a file that tokend store export wrote"
	f, _, err := durable.Open(path)
	switch {
	case errors.Is(err, durable.ErrNotRegular):
		return nil, hintf(exitConfig, advice, "%s is not a regular file", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, hintf(exitConfig, advice, "%s does not exist", path)
	case err != nil:
		return nil, hintf(exitConfig, advice, "%s cannot be read: %w", path, durable.Cause(err))
	}
	defer func() { _ = f.Close() }() // only read
	b, err := store.ReadExport(f)
	if err != nil {
		return nil, hintf(exitConfig, advice, "%s cannot be read: %w", path, durable.Cause(err))
	}
	return b, nil
}
