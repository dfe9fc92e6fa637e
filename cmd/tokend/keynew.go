package main

import (
	"github.com/spf13/cobra"

	"example.com/tokend/internal/store/seal"
)

const keyNewHelp = `Prints a new keyset for a store that several replicas use: give all of them the same
one, as TOKEND_STORE_KEY or in the file of TOKEND_STORE_KEY_FILE. It uses no store.

The keyset opens the grants of the store. Write it to a file that only you can read:

  (umask 077 && tokend key new >keyset.json)`

func (p *program) keyNew() *cobra.Command {
	return &cobra.Command{
		Use: "new", Short: "Print a new keyset for replicas", Long: keyNewHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := seal.New()
			if err == nil {
				_, err = keys.WriteTo(p.stdout)
			}
			return err
		},
	}
}
