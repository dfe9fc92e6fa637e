package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/sqlite"
	"example.com/tokend/internal/storeurl"
)

// ErrUnreachable is the error of [Open] for a database on another machine that
// does not answer. It may answer later.
var ErrUnreachable = postgres.ErrUnreachable

// ErrDisk is the error of a file whose disk is full or fails, which may be over soon.
var ErrDisk = sqlite.ErrDisk

// postgresDriver opens stores in PostgreSQL databases.
type postgresDriver struct{}

// Open implements Driver. Spill and mark are on this machine.
func (postgresDriver) Open(ctx context.Context, u storeurl.URL, o Options) (*Store, error) {
	dir, err := localSpill(o)
	if err != nil {
		return nil, err
	}
	s := &Store{keys: o.Keys, markFile: o.MarkFile, replicas: true}
	if s.spill, err = newSpill(dir, o); err != nil {
		return nil, err
	}
	po := postgres.Options{Sealer: o.Keys, Password: o.Password.Reveal()}
	for _, path := range []string{o.MarkFile, underState(o, "postgres.mark")} {
		if path != "" {
			po.MarkFiles = append(po.MarkFiles, path)
		}
	}
	medium, err := postgres.Open(ctx, u.DSN(), po)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", u, err)
	}
	s.medium = medium
	s.spill.store = s.ID()
	if err := s.spill.takeOver(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// localSpill returns the default spill directory.
func localSpill(o Options) (string, error) {
	dir := cmp.Or(underState(o, "postgres.spill"), o.SpillDir)
	if dir == "" {
		return "", hint.Errorf("set TOKEND_SPILL_DIR, HOME or XDG_STATE_HOME",
			"store: there is no directory for grants that the database cannot save")
	}
	return dir, nil
}

func underState(o Options, name string) string {
	if o.StateDir == "" {
		return ""
	}
	return filepath.Join(o.StateDir, name)
}

// Check implements Driver.
func (d postgresDriver) Check(ctx context.Context, u storeurl.URL, o Options, keyset string) (made bool, err error) {
	dir, err := localSpill(o)
	if err != nil {
		return false, err
	}
	if err := checkSpill(cmp.Or(o.SpillDir, dir)); err != nil {
		return false, err
	}
	if o.Keys == nil {
		found, err := d.Exists(ctx, u, o)
		if err == nil && found != "" {
			err = noKeyset(keyset, found)
		}
		return found != "", err
	}
	made, err = postgres.Check(ctx, u.DSN(), postgres.Options{Sealer: o.Keys, Password: o.Password.Reveal()})
	if err != nil {
		return made, fmt.Errorf("store %s: %w", u, err)
	}
	return made, nil
}

// Exists implements Driver.
func (postgresDriver) Exists(ctx context.Context, u storeurl.URL, o Options) (string, error) {
	made, err := postgres.Exists(ctx, u.DSN(), postgres.Options{Password: o.Password.Reveal()})
	if err != nil {
		return "", fmt.Errorf("store %s: %w", u, err)
	}
	if !made {
		return "", nil
	}
	return u.String(), nil
}
