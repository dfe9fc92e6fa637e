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
	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// readOrCreateKey reads the API key file, or creates it with a new key of 256 bits and
// mode 0600; made reports which.
func readOrCreateKey(path string) (key flow.Secret, made bool, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if made, err = createKey(path); err != nil {
			return "", false, hint.Errorf("set TOKEND_API_KEY_FILE to a writable path, or set TOKEND_API_KEY",
				"cannot create API key file %s: %w", path, err)
		}
	}
	key, err = config.ReadOwnSecret(path)
	return key, made, err
}

// createKey creates the file atomically. If another process was faster, its file stays
// and made is false.
func createKey(path string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	random := make([]byte, 32)
	if _, err := io.ReadFull(rand.Reader, random); err != nil {
		return false, err
	}
	err = durable.Create(path, 0o600, []byte(base64.RawURLEncoding.EncodeToString(random)+"\n"))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
