package store

import (
	"context"
	"path/filepath"

	"example.com/tokend/internal/storeurl"
)

// Driver opens and checks the stores of one URL scheme.
type Driver interface {
	// Open opens the store, and creates it if there is none: see [Open].
	Open(ctx context.Context, u storeurl.URL, o Options) (*Store, error)
	// Check returns the error that Open would return, and changes nothing: see [Check].
	Check(ctx context.Context, u storeurl.URL, o Options, keyset string) (made bool, err error)
	// Exists returns what there is of the store, for messages; "" if there is
	// nothing that was sealed.
	Exists(ctx context.Context, u storeurl.URL, o Options) (string, error)
}

// driverOf returns the driver of a URL's scheme.
func driverOf(u storeurl.URL) Driver {
	if u.Scheme == storeurl.Postgres {
		return postgresDriver{}
	}
	return sqliteDriver{}
}

// Dir returns the directory of the store at url, "" if it has none on this machine.
func Dir(url string) (string, error) {
	u, err := storeurl.Parse(url)
	if err != nil || u.File() == "" {
		return "", err
	}
	return filepath.Dir(u.File()), nil
}
