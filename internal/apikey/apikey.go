// Package apikey keeps the API keys of callers in a file, each with what it may do.
//
// The file has the SHA-256 of each key. A key has 256 random bits, so nothing is gained
// by a slow hash: no one can try all of them.
package apikey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
)

// What a key may do with its clients.
const (
	Read   = "read"   // get tokens and states
	Manage = "manage" // also log in and out, refresh and resume
)

// AllClients is the element of a key's clients that stands for all.
const AllClients = "*"

// Key is a key in the file.
type Key struct {
	Name      string    `json:"name"`
	Hash      Hash      `json:"sha256"`
	Clients   []string  `json:"clients"`             // or AllClients
	Audiences []string  `json:"audiences,omitempty"` // absent: those of its clients, and any that are requested
	Access    string    `json:"access"`
	Rate      int       `json:"rate_limit,omitempty"` // requests per second; 0: that of the configuration
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires,omitzero"`
}

// ExpiredAt reports whether the key opens nothing any more at a time.
func (k Key) ExpiredAt(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// Hash is the SHA-256 of a key, base64url in the file.
type Hash [sha256.Size]byte

// MarshalText implements [encoding.TextMarshaler].
func (h Hash) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, h[:]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return errors.New("not a SHA-256 in base64url")
	}
	copy(h[:], b)
	return nil
}

// prefix begins every key, so that a search for leaked secrets finds it.
const prefix = "tokend_"

// New returns a new key of 256 bits and its hash.
func New(random io.Reader) (key string, hash Hash, err error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", hash, err
	}
	key = prefix + base64.RawURLEncoding.EncodeToString(b)
	return key, HashOf(key), nil
}

// HashOf returns the hash of a key.
func HashOf(key string) Hash { return sha256.Sum256([]byte(key)) }

// IsKey reports whether a text has the form of a key of [New].
func IsKey(text string) bool {
	random, ok := strings.CutPrefix(text, prefix)
	b, err := base64.RawURLEncoding.DecodeString(random)
	return ok && err == nil && len(b) == 32
}

// document is the content of the file.
type document struct {
	Version int   `json:"version"`
	Keys    []Key `json:"keys"`
}

const (
	version = 1
	maxFile = 4 << 20
)

// Load reads the keys. Without a file there are none.
func Load(path string) ([]Key, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	b, err := durable.ReadOwn(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("file of API keys %w", err)
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err = dec.Decode(&d)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, hint.Errorf("restore it from a backup, or remove it, which revokes its keys, and add them again: tokend key add",
			"file of API keys %s: %w", path, err)
	}
	return d.Keys, nil
}

// names matches the names of keys, as those of clients.
var names = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
})

// Reserved reports whether a name is that of a caller without such a key: in the audit log
// two callers would look like one.
func Reserved(name string) bool {
	return slices.Contains([]string{"main", "socket", "private", "tokend"}, name)
}

func (d document) check() error {
	if d.Version != version {
		return fmt.Errorf("its version is %d, not %d", d.Version, version)
	}
	for i, k := range d.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
		for _, o := range d.Keys[:i] {
			switch {
			case o.Name == k.Name:
				return fmt.Errorf("duplicate key %q", k.Name)
			case o.Hash == k.Hash:
				return fmt.Errorf("keys %q and %q are the same", o.Name, k.Name)
			}
		}
	}
	return nil
}

func (k Key) check() error {
	switch {
	case !names().MatchString(k.Name):
		return hint.Errorf("use a-z, 0-9, - and _, starting with a letter or digit, at most 63", "the name %q is not allowed", k.Name)
	case Reserved(k.Name):
		return hint.Errorf("use another one", "the name %q is reserved", k.Name)
	case k.Hash == Hash{}:
		return fmt.Errorf("key %q has no sha256", k.Name)
	case len(k.Clients) == 0 || slices.Contains(k.Clients, ""):
		return fmt.Errorf("key %q has no clients", k.Name)
	case k.Access != Read && k.Access != Manage:
		return fmt.Errorf("key %q: access %q is not read or manage", k.Name, k.Access)
	case k.Rate < 0:
		return fmt.Errorf("key %q: rate_limit %d is negative", k.Name, k.Rate)
	}
	return nil
}

// ErrExists is an error of [Add].
var ErrExists = errors.New("there is a key of that name")

// UnknownError is an error of [Revoke].
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string { return fmt.Sprintf("there is no key %q", e.Name) }

// Add adds a key to the file, and creates the file if it is absent. It replaces a key of
// the same name that had expired when k was created: that one opens nothing any more.
func Add(path string, k Key) error {
	if err := k.check(); err != nil {
		return err
	}
	return change(path, func(keys []Key) ([]Key, error) {
		i := slices.IndexFunc(keys, func(o Key) bool { return o.Name == k.Name })
		switch {
		case i < 0:
			return append(keys, k), nil
		case !keys[i].ExpiredAt(k.Created):
			return nil, ErrExists
		}
		keys[i] = k
		return keys, nil
	})
}

// Revoke removes keys from the file: all of them, or none if one is unknown.
func Revoke(path string, names ...string) error {
	return change(path, func(keys []Key) ([]Key, error) {
		for _, name := range names {
			i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
			if i < 0 {
				return nil, &UnknownError{name}
			}
			keys = slices.Delete(keys, i, i+1)
		}
		return keys, nil
	})
}

// change replaces the file while no other process does.
func change(path string, edit func([]Key) ([]Key, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock, err := durable.Append(path + ".lock") // not the file itself, which is replaced
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // this unlocks it
	durable.Lock(lock)
	keys, err := Load(path)
	if err != nil {
		return err
	}
	if keys, err = edit(keys); err != nil {
		return err
	}
	b, err := json.MarshalIndent(document{version, keys}, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(path, 0o600, append(b, '\n')); err != nil {
		return hint.Errorf("run it as the user of the service, and leave space on the disk", "file of API keys %s cannot be written: %w", path, durable.Cause(err))
	}
	return durable.SyncDir(filepath.Dir(path))
}
