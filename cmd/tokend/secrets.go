package main

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// maxSecret bounds a secret file, in bytes.
const maxSecret = 64 << 10

// readSecret reads a secret file: its content without surrounding space. It is
// an error when there is none, or others may read it.
func readSecret(path string) (flow.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read
	fi, err := f.Stat()
	if err != nil {
		return "", unreadable(path, err)
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("secret file %s is not a regular file", path)
	}
	if perm := fi.Mode().Perm(); perm&0o007 != 0 {
		return "", hint.Errorf("chmod 600 "+path, "secret file %s is open to everyone (mode %#o)", path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", unreadable(path, err)
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("secret file %s is larger than 64 KiB", path)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return flow.Secret(s), nil
}

func unreadable(path string, err error) error {
	return fmt.Errorf("secret file %s cannot be read: %w", path, reason(err))
}

// reason takes operation and path off an error that is told with its path.
func reason(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// secretOf has a secret that comes as a value, as a file, or else as the
// credential (systemd.exec(5), LoadCredential=) of the variable's name. All
// empty is no secret and no fault.
func secretOf(name, value, file string, f *faults) flow.Secret {
	if value != "" && file != "" {
		f.add("set one of them", "both %s and %s are set", name, fileVariant(name))
		return ""
	}
	if value != "" {
		return flow.Secret(value)
	}
	given := file != ""
	if !given {
		file = credential(name)
	}
	if file == "" {
		return ""
	}
	s, err := readSecret(file)
	if err != nil {
		if given {
			name = fileVariant(name)
		}
		f.add(cmp.Or(hint.Of(err), secretHint), "%s: %v", name, err)
	}
	return s
}

// secretHint is what helps against an error of readSecret without a hint.
const secretHint = "name a file that holds the secret alone and that the user of the service can read"

// fileVariant is the name of what gives a secret's file, in a variable's or a
// key's spelling.
func fileVariant(name string) string {
	if strings.ToUpper(name) == name {
		return name + "_FILE"
	}
	return name + "_file"
}

// credential returns the file of a credential, "" when there is none.
func credential(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// readOrCreateKey reads the API key file, or makes one with a fresh key of 256
// bits, mode 0600, when there is none. made says so.
func readOrCreateKey(path string) (key flow.Secret, made bool, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if made, err = createKey(path); err != nil {
			return "", false, hint.Errorf("set TOKEND_API_KEY_FILE to a place that can be written, or TOKEND_API_KEY",
				"cannot create API key file %s: %w", path, err)
		}
	}
	key, err = readSecret(path)
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
