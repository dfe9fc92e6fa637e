// Package storeurl parses the URL of a store (TOKEND_STORE), for the
// configuration and for the stores:
//
//	sqlite:/path/to/tokend.db       a file; a relative path is from the working directory
//	sqlite::memory:                 in memory, until it is closed
//	postgres://user@host/database   a PostgreSQL database; hosts are separated by commas
package storeurl

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// The schemes.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Memory is the path of a sqlite database in memory.
const Memory = ":memory:"

// URL is a parsed URL.
type URL struct {
	Scheme string // SQLite or Postgres
	Path   string // of SQLite: absolute, or Memory
	raw    string
	parsed *url.URL // of Postgres
}

// Parse parses the URL of a store. Its errors contain no password.
func Parse(raw string) (URL, error) {
	switch scheme, rest, found := strings.Cut(raw, ":"); {
	case !found:
		return URL{}, hinted("store: %q is not a URL", raw)
	case scheme == SQLite:
		path, err := sqlitePath(raw, rest)
		return URL{Scheme: SQLite, Path: path, raw: raw}, err
	case scheme == Postgres || scheme == "postgresql":
		return parsePostgres(raw)
	default:
		return URL{}, hinted("store: scheme %q is not supported", scheme)
	}
}

// sqlitePath returns the absolute path of a sqlite URL, or Memory.
func sqlitePath(raw, path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return "", hinted("store: sqlite URL %q names a host", raw)
		}
		path = rest
	}
	switch {
	case path == Memory:
		return Memory, nil
	case path == "" || strings.HasSuffix(path, "/"):
		return "", hinted("store: sqlite URL %q names no file", raw)
	case strings.ContainsRune(path, 0):
		return "", errors.New("store: the sqlite path holds a NUL byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: sqlite path %q: %w", path, err)
	}
	return abs, nil
}

// parsePostgres checks only the form. What hosts and parameters mean is known to
// the driver.
func parsePostgres(raw string) (URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		var detail *url.Error // its text has the URL, and the URL may have a password
		if errors.As(err, &detail) {
			err = detail.Err
		}
		if strings.Contains(raw, "@") {
			return URL{}, hinted("store: the postgres URL cannot be parsed; a special character in the password or user must be escaped (%%40 for @)")
		}
		return URL{}, hinted("store: the postgres URL cannot be parsed: %w", err)
	}
	if u.Opaque != "" || !strings.HasPrefix(strings.TrimPrefix(raw, u.Scheme+":"), "//") {
		return URL{}, hinted("store: the postgres URL has no // after its scheme")
	}
	return URL{Scheme: Postgres, raw: raw, parsed: u}, nil
}

// File returns the database file, "" if there is none.
func (u URL) File() string {
	if u.Scheme != SQLite || u.Path == Memory {
		return ""
	}
	return u.Path
}

// DSN returns the URL for the driver. It may contain a password.
func (u URL) DSN() string { return u.raw }

// HasPassword reports whether the URL contains a password.
func (u URL) HasPassword() bool {
	if u.parsed == nil {
		return false
	}
	_, set := u.parsed.User.Password()
	return set || u.parsed.Query().Has("password")
}

// String returns the URL without a password.
func (u URL) String() string {
	if !u.HasPassword() {
		return u.raw
	}
	masked := *u.parsed
	if q := masked.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		masked.RawQuery = q.Encode()
	}
	return masked.Redacted()
}

// hintError is an error with a hint, as [example.com/tokend/internal/hint] has them.
type hintError struct{ error }

// Hint returns what to do.
func (hintError) Hint() string {
	return "use sqlite:/path/to/tokend.db or postgres://user@host/database"
}

func (e hintError) Unwrap() error { return e.error }

func hinted(format string, args ...any) error { return hintError{fmt.Errorf(format, args...)} }
