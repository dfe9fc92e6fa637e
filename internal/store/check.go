package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/storeurl"
)

// Check returns the error that [Open] would return for the store at url. It
// changes nothing, does not try to write, and other processes may be using the
// store. o.Keys is nil if the file keyset, which is where its keys are to be,
// does not exist yet. made is false if there is no store yet.
func Check(ctx context.Context, url string, o Options, keyset string) (made bool, err error) {
	u, err := storeurl.Parse(url)
	if err != nil {
		return false, err
	}
	return driverOf(u).Check(ctx, u, o, keyset)
}

// CheckURL checks the URL of a store, its driver's parameters too, and connects to
// nothing.
func CheckURL(url string) error {
	u, err := storeurl.Parse(url)
	if err == nil && u.Scheme == storeurl.Postgres {
		err = postgres.CheckURL(u.DSN())
	}
	return err
}

// checkSpill rejects a spill directory that others can write to.
func checkSpill(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: spill: %w", err)
	}
	return checkDir(spills, dir, fi)
}
