package tokend

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
)

// maxKey is the maximum size of a key file, in bytes.
const maxKey = 64 << 10

// apiKey is the key that requests carry. It is read again when its file changes.
type apiKey struct {
	file     string
	optional bool

	mu    sync.Mutex
	value Secret
	read  bool
}

// get returns the key, "" if there is none.
func (k *apiKey) get() (Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read || k.file == "" {
		return k.value, nil
	}
	return k.value, k.load()
}

// source returns where a key comes from, for a message: its file or its variable. It is ""
// for no key, and for one that the program gave.
func (k *apiKey) source(key Secret) string {
	switch {
	case key == "":
		return ""
	case k.file != "":
		return k.file
	case strings.TrimSpace(os.Getenv("TOKEND_API_KEY")) == key.Reveal():
		return "TOKEND_API_KEY"
	}
	return ""
}

// changed reads the file again and reports whether the key differs from was: the
// service may have created or replaced the file since.
func (k *apiKey) changed(was Secret) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.value != was {
		return true
	}
	return k.file != "" && k.load() == nil && k.value != was
}

// load reads the file; k.mu is held.
func (k *apiKey) load() error {
	value, err := readKey(k.file)
	switch {
	case err == nil:
		k.value, k.read = value, true
		return nil
	case k.optional && errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// readKey reads a key file without surrounding white space. It must be a regular
// file that only its owner and group can read.
func readKey(path string) (Secret, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a FIFO would wait for a writer
	if err != nil {
		return "", keyError(path, err)
	}
	defer func() { _ = f.Close() }() // read only
	fi, err := f.Stat()
	if err != nil {
		return "", keyError(path, err)
	}
	if !fi.Mode().IsRegular() {
		return "", addressError("", "key file %s is not a regular file", path)
	}
	if perm := fi.Mode().Perm(); perm&0o007 != 0 {
		return "", addressError("chmod 600 "+path, "key file %s is open to everyone (mode %#o)", path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return "", keyError(path, err)
	}
	key := strings.TrimSpace(string(b))
	switch {
	case len(b) > maxKey:
		return "", addressError("", "key file %s is larger than 64 KiB", path)
	case key == "":
		return "", addressError("", "key file %s is empty", path)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", addressError("the file must contain only the key", "key file %s has more than one line, or characters that a key cannot have", path)
	}
	return Secret(key), nil
}

func keyError(path string, err error) error {
	cause := err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		cause = pe.Err
	}
	return &Error{Code: CodeAddress, Description: fmt.Sprintf("cannot read key file %s: %v", path, cause), Hint: "check TOKEND_API_KEY_FILE", Err: err}
}
