package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// readOrCreateKey reads the API key file, or makes one with a fresh key of 256
// bits, mode 0600, when there is none. made says so.
func readOrCreateKey(path string) (key flow.Secret, made bool, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if made, err = createKey(path); err != nil {
			return "", false, hint.Errorf("set TOKEND_API_KEY_FILE to a place that can be written, or TOKEND_API_KEY",
				"cannot create API key file %s: %w", path, err)
		}
	}
	key, err = config.ReadSecret(path)
	return key, made, err
}

// createKey makes the file whole or not at all; one that is there by then
// stays, and made is false.
func createKey(path string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".api-key-*") // 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // the link stays
	random := make([]byte, 32)
	_, err = io.ReadFull(rand.Reader, random)
	if err == nil {
		_, err = tmp.WriteString(base64.RawURLEncoding.EncodeToString(random) + "\n")
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return false, err
	}
	err = os.Link(tmp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
