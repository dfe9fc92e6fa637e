package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/store"
	"example.com/tokend/pkg/flow"
)

const keyHelp = `There are two kinds of keys. An API key lets a caller use the service over TCP:
"tokend key add", "tokend key list" and "tokend key revoke". A store key seals the
store: "tokend key" without a verb, and "tokend key rotate".

Without a verb it lists the store keys by their ids, and how many values of the store
each one seals: grants, pending logins and spilled grants. No key is printed.

Run it with the configuration of the service, as the service's user.`

const rotateHelp = `Replaces the key that seals the store by a new one, while services use the store.

The new key is written to the keyset file, then the store seals with it, then every
value is sealed again, and the former key is removed when nothing has it. A service
reads the keyset file again when it meets the new key. If the command is interrupted,
run it again: it continues. A backup of the store needs the keyset file of its time.

If other stores have used the keyset file, the former key stays in it for them. Rotate
each of these stores, and use --alone with the last one.

A PostgreSQL store is rotated in steps, because each machine may have a keyset file and
spilled grants of its own:

1. --add-only adds the new key to the file. Copy the file to all replicas.
2. Without a flag, on one machine: the store seals with the new key.
3. When "tokend key" shows no value of the former key on any machine: --retire removes
   it from the file. Copy the file to all replicas.

A Secret that is mounted cannot be replaced here: write the file to --output, and
change the Secret.`

func (p *program) key() *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use: "key", Short: "Make, list and revoke API keys; list and rotate the keys that seal the store", Long: keyHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listKeys(cmd.Context(), format) },
	}
	tableOrJSON(cmd, &format)
	cmd.AddCommand(p.keyAdd(), p.keyList(), p.keyRevoke(), p.keyNew(), p.keyRotate())
	return cmd
}

// rotateFlags say what of a rotation is to be done; none: what the store allows.
type rotateFlags struct {
	addOnly, retire, alone bool
	output                 string
}

func (p *program) keyRotate() *cobra.Command {
	f := rotateFlags{}
	cmd := &cobra.Command{
		Use: "rotate", Short: "Seal the store with a new key", Long: rotateHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.rotateKeys(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.addOnly, "add-only", false, "add the new key to the keyset file, and do not use it yet")
	cmd.Flags().BoolVar(&f.retire, "retire", false, "remove the former keys from the keyset file")
	cmd.Flags().BoolVar(&f.alone, "alone", false, "remove the former key, although other stores have used the keyset file")
	cmd.Flags().StringVar(&f.output, "output", "", "with --add-only or --retire: write the keyset to a new `file`, - is stdout, and leave the keyset file")
	cmd.MarkFlagsMutuallyExclusive("add-only", "retire")
	return cmd
}

// storeSettings reads the service's configuration. A store needs no client.
func storeSettings() (settings, error) {
	s, err := loadServiceSettings()
	if f := config.Faults(nil); errors.As(err, &f) && f.NoClient() {
		return s, nil
	}
	return s, err
}

// existingStore opens the store of the service, and does not create one.
func existingStore(ctx context.Context) (settings, *store.Store, error) {
	s, err := storeSettings()
	if err != nil {
		return s, nil, err
	}
	found, err := s.checkStore(ctx)
	if err != nil {
		return s, nil, exitWith(exitConfig, temporary(err))
	}
	if !found {
		return s, nil, hintf(exitConfig, "set TOKEND_STORE as the service has it, and run this as the service's user", "TOKEND_STORE: there is no store yet")
	}
	grants, err := s.openStore(ctx)
	return s, grants, exitWith(exitConfig, err)
}

func (p *program) listKeys(ctx context.Context, format string) (err error) {
	if err := checkFormat(format); err != nil {
		return err
	}
	_, grants, err := existingStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, grants.Close()) }()
	uses, err := grants.KeyUses(ctx)
	if err != nil {
		return exitWith(exitUnavailable, err)
	}
	if format == "json" {
		return p.printKeysJSON(uses)
	}
	lines := []string{fmt.Sprintf("%-12s%8s  %s", "KEY", "VALUES", "USE")}
	for _, u := range uses {
		lines = append(lines, fmt.Sprintf("%-12d%8d  %s", u.ID, u.Values, useOf(u)))
	}
	return p.print(strings.Join(lines, "\n"))
}

func useOf(u store.KeyUse) string {
	switch {
	case u.Seals:
		return "seals new values"
	case !u.Known:
		return "not in the keyset: its values cannot be opened"
	case u.Values > 0:
		return "opens values until they are sealed again: tokend key rotate"
	}
	return "not used"
}

func (p *program) printKeysJSON(uses []store.KeyUse) error {
	type key struct {
		ID     uint32 `json:"id"`
		Values int    `json:"values"`
		Seals  bool   `json:"seals"`
		Known  bool   `json:"known"`
	}
	keys := []key{}
	for _, u := range uses {
		keys = append(keys, key{ID: u.ID, Values: u.Values, Seals: u.Seals, Known: u.Known})
	}
	b, err := json.Marshal(map[string][]key{"keys": keys})
	if err != nil {
		return exitWith(exitUnavailable, err)
	}
	return p.print(string(b))
}

func (p *program) rotateKeys(ctx context.Context, f rotateFlags) (err error) {
	var write func([]byte) error
	if f.output != "" {
		if !f.addOnly && !f.retire {
			return hintf(exitUsage, "add --add-only or --retire", "--output: this step does not change the keyset alone")
		}
		if write, err = p.newSecretFile(f.output); err != nil {
			return err
		}
	}
	s, grants, err := existingStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, grants.Close()) }()
	if !s.KeysetInFile {
		return hintf(exitConfig, "keep the keyset in a file: TOKEND_STORE_KEY_FILE", "the store key is in a variable or a credential, which this command cannot change")
	}
	file := cmp.Or(f.output, s.KeysetFile)
	if file == "-" {
		file = "the output"
	}
	var r store.Rotation
	switch {
	case f.addOnly:
		r, err = grants.AddKey(ctx, s.KeysetFile, write)
	case f.retire:
		r, err = grants.RetireKeys(ctx, s.KeysetFile, f.alone, write)
	default:
		r, err = grants.RotateKeys(ctx, s.KeysetFile, f.alone)
	}
	switch {
	case errors.Is(err, flow.ErrLocked):
		return exitWith(exitTryAgain, err)
	case err != nil:
		return exitWith(exitConfig, err)
	case f.addOnly:
		p.tell("%s has the new key %d, which the store does not use yet; hint: copy the file to all replicas, then run tokend key rotate\n", file, r.Key)
		return nil
	case f.retire:
		return p.tellRetired(file, r)
	}
	p.tellRotation(file, r)
	if r.Unreadable > 0 {
		return hintf(exitUnavailable, "log these clients out and in again, and rotate again", "%d values cannot be opened, so the former key stays", r.Unreadable)
	}
	return nil
}

func (p *program) tellRetired(file string, r store.Rotation) error {
	for _, id := range r.Retired {
		p.tell("removed from %s: key %d\n", file, id)
	}
	switch {
	case len(r.Kept) == 0:
		return nil
	case r.Shared:
		return hintf(exitConfig, "rotate these stores too, and add --alone", "%s in %s, because other stores have used it", formerStay(r), file)
	}
	return hintf(exitConfig, "run tokend key rotate on this machine, and tokend key to see what has them", "%s in %s, because values have them", formerStay(r), file)
}

func formerStay(r store.Rotation) string {
	if len(r.Kept) == 1 {
		return "1 former key stays"
	}
	return fmt.Sprintf("%d former keys stay", len(r.Kept))
}

func (p *program) tellRotation(file string, r store.Rotation) {
	done := "a new key"
	if r.Resumed {
		done = "the key of an interrupted rotation"
	}
	fmt.Fprintf(p.stdout, "the store is sealed with %s: %d; values sealed again: %d\n", done, r.Key, r.Resealed)
	for _, id := range r.Retired {
		fmt.Fprintf(p.stdout, "removed from %s: key %d\n", file, id)
	}
	switch {
	case len(r.Kept) == 0:
	case r.Replicas:
		p.tell("note: %s in %s; hint: when tokend key shows no values of former keys on any machine: tokend key rotate --retire\n", formerStay(r), file)
	case r.Shared:
		p.tell("note: %s in %s, because other stores have used it; hint: rotate these stores too, the last one with --alone\n", formerStay(r), file)
	}
}
