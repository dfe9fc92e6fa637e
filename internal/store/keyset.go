package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/seal"
)

// maxKeyset is the maximum size of a keyset file; one key takes about 300 bytes.
const maxKeyset = 1 << 20

// LoadOrCreateKeyset reads the keyset file at path (a cleartext Tink keyset, JSON
// or its base64). If there is none, it creates one with a new key, mode 0600,
// unless the store at url already exists: a new key could not open it. A file
// that is empty, not a keyset, not a regular file or readable by others is an
// error and is not changed.
func LoadOrCreateKeyset(path, url string) (*seal.Keyset, error) {
	keys, err := loadKeyset(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	found, err := existingFile(url)
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
func loadKeyset(path string) (*seal.Keyset, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("store: keyset file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, hint.Errorf("use the path of the file itself", "store: keyset file %s is not a regular file (%s)", path, kind(fi))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("store: keyset file: %w", err)
	}
	defer func() { _ = f.Close() }() // read only
	opened, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("store: keyset file: %w", err)
	}
	if !os.SameFile(fi, opened) {
		return nil, hint.Errorf("make its directory writable only for its owner", "store: keyset file %s was replaced while it was read", path)
	}
	if perm := opened.Mode().Perm(); perm&0o077 != 0 {
		return nil, hint.Errorf(fmt.Sprintf("chmod 600 %s", path), "store: keyset file %s can be read by others (mode %#o)", path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyset))
	if err != nil {
		return nil, fmt.Errorf("store: keyset file: %w", err)
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
	tmp, err := writeTemp(path, b.Bytes())
	if err != nil {
		return fmt.Errorf("store: keyset file: %w", err)
	}
	defer func() { _ = os.Remove(tmp) }() // the hard link remains
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store: keyset file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("store: keyset file: %w", err)
	}
	return nil
}

// writeTemp writes b to a new file next to path, mode 0600, and syncs it.
func writeTemp(path string, b []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// existingFile returns the first file of the store at url, "" if there is none.
func existingFile(url string) (string, error) {
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
