package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
)

// LoadOrCreateKeyset reads the keyset file at path (a cleartext Tink keyset,
// JSON or its base64), or makes one with a fresh key, mode 0600, when there is
// none. It makes none when the store that url names exists already: a new key
// could not open it. A file that is empty, is no keyset, is not a regular file
// or that others can read is an error; it is left as it is.
func LoadOrCreateKeyset(path, url string) (*seal.Keyset, error) {
	keys, err := loadKeyset(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	found, err := exists(url)
	if err != nil {
		return nil, err
	}
	if found == "" {
		if err := createKeyset(path); err != nil {
			return nil, err
		}
	}
	// Read what is there now, whoever made it: another process may have been
	// first, or have made keyset and store between our two looks.
	keys, err = loadKeyset(path)
	if errors.Is(err, fs.ErrNotExist) && found != "" {
		return nil, noKeyset(path, found)
	}
	return keys, err
}

func noKeyset(path, found string) error {
	return hint.Errorf("put the keyset back; without it the grants are lost: move the store away and log in again",
		"store: there is no keyset file %s, but %s exists and is sealed with one", path, found)
}

// loadKeyset is fs.ErrNotExist when there is no file.
func loadKeyset(path string) (*seal.Keyset, error) {
	b, err := durable.ReadSecret(path, durable.Private)
	if err != nil {
		return nil, fmt.Errorf("store: keyset file %w", err)
	}
	keys, err := seal.Parse(string(b))
	if err != nil {
		return nil, hint.Errorf("put back the file that the store was made with", "store: keyset file %s: %w", path, err)
	}
	return keys, nil
}

// createKeyset makes the file whole or not at all; one that is there stays.
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
		return fmt.Errorf("store: keyset file: %w", err)
	}
	return nil
}

// exists returns the first file of the store that url names, "" when it has none.
func exists(url string) (string, error) {
	path, err := sqlitePath(url)
	if err != nil || path == memory {
		return "", err
	}
	for _, name := range []string{path, path + "-wal", spillDir(path)} {
		switch _, err := os.Lstat(name); {
		case err == nil:
			return name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("store: %w", err)
		}
	}
	return "", nil
}
