package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/storeurl"
)

// LoadOrCreateKeyset reads the keyset file at path (a cleartext Tink keyset, JSON
// or its base64). If there is none, it creates one with a new key, mode 0600,
// unless the store at url already exists: a new key could not open it. A file
// that is empty, not a keyset, not a regular file or readable by others is an
// error and is not changed. The result follows a rotation of the keys in the file. o is
// for the store; it has no keys.
func LoadOrCreateKeyset(ctx context.Context, path, url string, o Options) (*seal.Keyset, error) {
	keys, err := loadOrCreate(ctx, path, url, o)
	if err == nil {
		FollowKeyset(keys, path)
	}
	return keys, err
}

// ReadKeyset reads a keyset file that exists.
func ReadKeyset(path string) (*seal.Keyset, error) { return readKeyset(path, durable.Others) }

// FollowKeyset lets keys, which were read from the file at path, follow a rotation of
// the keys in that file. Call it before use.
func FollowKeyset(keys *seal.Keyset, path string) {
	keys.Follow(func() (*seal.Keyset, error) { return readKeyset(path, durable.Others) })
}

func loadOrCreate(ctx context.Context, path, url string, o Options) (*seal.Keyset, error) {
	keys, err := loadKeyset(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	u, err := storeurl.Parse(url)
	if err != nil {
		return nil, err
	}
	found, err := driverOf(u).Exists(ctx, u, o)
	if err != nil {
		return nil, err
	}
	if found == "" {
		if err := createKeyset(path); err != nil {
			return nil, err
		}
	}
	// Read the file that exists now: another process may have created it, or
	// keyset and store, since we checked.
	keys, err = loadKeyset(path)
	if errors.Is(err, fs.ErrNotExist) && found != "" {
		return nil, noKeyset(path, found)
	}
	return keys, err
}

func noKeyset(path, found string) error {
	return hint.Errorf("restore the keyset file; if it is lost, move the store away and log in again",
		"store: there is no keyset file %s, but %s exists and is sealed with one", path, found)
}

// loadKeyset returns fs.ErrNotExist if there is no file.
func loadKeyset(path string) (*seal.Keyset, error) { return readKeyset(path, durable.Private) }

// readKeyset reads a file that may give all permissions but the forbidden ones: one
// that other software made is for a group at most, and may be a link.
func readKeyset(path string, forbidden fs.FileMode) (*seal.Keyset, error) {
	b, err := durable.ReadSecret(path, forbidden)
	if err != nil {
		return nil, fmt.Errorf("store: keyset file %w", err)
	}
	keys, err := seal.Parse(string(b))
	if err != nil {
		return nil, hint.Errorf("restore the file that the store was created with", "store: keyset file %s: %w", path, err)
	}
	return keys, nil
}

// createKeyset creates the file completely or not at all, and keeps an existing
// one.
func createKeyset(path string) error {
	keys, err := seal.New()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := keys.WriteTo(&b); err != nil {
		return err
	}
	if err := guardDir(stateDir, filepath.Dir(path)); err != nil {
		return err
	}
	if err := durable.Create(path, 0o600, b.Bytes()); err != nil && !errors.Is(err, fs.ErrExist) {
		return hint.Errorf("make its directory writable for the user of the service, and leave space on the disk", "store: keyset file %s cannot be written: %w", path, durable.Cause(err))
	}
	return nil
}

// writeKeyset passes the content of a keyset file to write.
func writeKeyset(keys *seal.Keyset, write func([]byte) error) error {
	var b bytes.Buffer
	if _, err := keys.WriteTo(&b); err != nil {
		return err
	}
	return write(b.Bytes())
}

// orReplace returns write, or if it is nil the replacement of the file at path.
func orReplace(write func([]byte) error, path string) func([]byte) error {
	if write != nil {
		return write
	}
	return replacing(path)
}

// replacing returns a function that writes another state of the keyset file, durably.
func replacing(path string) func([]byte) error {
	return func(b []byte) error { return replaceKeyset(path, b) }
}

func replaceKeyset(path string, b []byte) error {
	fi, err := os.Lstat(path)
	if err == nil && !fi.Mode().IsRegular() {
		return hint.Errorf("change the file where it comes from: see docs/deploy.md", "store: keyset file %s is %s, which cannot be replaced here", path, kind(fi))
	}
	if err == nil {
		err = durable.Replace(path, fi.Mode().Perm(), b)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return hint.Errorf("make its directory writable for the user that runs this program", "store: keyset file %s cannot be written: %w", path, durable.Cause(err))
	}
	return nil
}
