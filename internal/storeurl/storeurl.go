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
	"maps"
	"net/url"
	"path/filepath"
	"strings"
)

// The schemes.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// unescaped is the error of a URL whose user, password and host cannot be distinguished.
const unescaped = "store: the postgres URL cannot be parsed: a special character in its user or password must be escaped (%%40 for @, %%2F for /, %%3F for ?)"

// Memory is the path of a sqlite database in memory.
const Memory = ":memory:"

// URL is a parsed URL.
type URL struct {
	Scheme string // SQLite or Postgres
	Path   string // of SQLite: absolute, or Memory
	raw    string

	// Of Postgres, escaped as in raw.
	name, user, password, host, database string

	hasPassword bool
	query       url.Values
}

// Parse parses the URL of a store. Its errors contain no password.
func Parse(raw string) (URL, error) {
	switch scheme, rest, found := strings.Cut(raw, ":"); {
	case !found && strings.ContainsAny(raw, "=@"): // such as password=… for libpq
		return URL{}, hinted("store: the value is not a URL")
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
			host, _, _ := strings.Cut(rest, "/")
			return "", hinted("store: the sqlite URL names a host, %q", host[strings.LastIndex(host, "@")+1:])
		}
		path = rest
	}
	switch {
	case strings.Contains(path, "://"): // a path with a password, which errors would print
		return "", hinted("store: the path of the sqlite URL is another URL")
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
// the driver. It is not a URL of RFC 3986: there may be several hosts with ports.
func parsePostgres(raw string) (URL, error) {
	scheme, rest, _ := strings.Cut(raw, ":")
	rest, found := strings.CutPrefix(rest, "//")
	if !found {
		return URL{}, hinted("store: the postgres URL has no // after its scheme")
	}
	u := URL{Scheme: Postgres, raw: raw, name: scheme}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, hasPath := strings.Cut(rest, "/")
	if !hasPath && strings.Contains(query, "@") {
		return URL{}, hinted(unescaped)
	}
	u.database = path
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		u.user, u.password, u.hasPassword = strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
	}
	u.host = authority
	_, userErr := url.PathUnescape(u.user)
	_, passwordErr := url.PathUnescape(u.password)
	if userErr != nil || passwordErr != nil || strings.Contains(u.user+u.password+path, "@") {
		return URL{}, hinted(unescaped)
	}
	var err error
	if u.query, err = url.ParseQuery(query); err != nil {
		return URL{}, hinted("store: the parameters of the postgres URL cannot be parsed")
	}
	return u, nil
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
	for name := range u.query {
		if isSecret(name) {
			return true
		}
	}
	return u.hasPassword
}

// isSecret reports whether a parameter has a password: of the user, of the key of a
// client certificate (sslpassword), or of a misspelt name.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return name == "pass" || strings.Contains(name, "passw") || strings.Contains(name, "passphrase") ||
		strings.Contains(name, "pwd") || strings.Contains(name, "secret")
}

// String returns the URL without a password.
func (u URL) String() string {
	if !u.HasPassword() {
		return u.raw
	}
	if u.hasPassword {
		u.password = "xxxxx"
	}
	u.query = maps.Clone(u.query)
	for name := range u.query {
		if isSecret(name) {
			u.query.Set(name, "xxxxx")
		}
	}
	return u.join()
}

// Param returns a parameter of a postgres URL, and the URL without it.
func (u URL) Param(name string) (string, URL) {
	if !u.query.Has(name) {
		return "", u
	}
	value := u.query.Get(name)
	u.query = maps.Clone(u.query)
	u.query.Del(name)
	u.raw = u.join()
	return value, u
}

// AtHost returns a postgres URL with another host, or hosts.
func (u URL) AtHost(host string) URL {
	u.host = host
	u.raw = u.join()
	return u
}

func (u URL) join() string {
	var b strings.Builder
	b.WriteString(u.name + "://" + u.user)
	if u.hasPassword {
		b.WriteString(":" + u.password)
	}
	if u.user != "" || u.hasPassword {
		b.WriteString("@")
	}
	b.WriteString(u.host + "/" + u.database)
	if len(u.query) > 0 {
		b.WriteString("?" + u.query.Encode())
	}
	return b.String()
}

// hintError is an error with a hint, as [example.com/tokend/internal/hint] has them.
type hintError struct{ error }

// Hint returns what to do.
func (hintError) Hint() string {
	return "use sqlite:/path/to/tokend.db or postgres://user@host/database"
}

func (e hintError) Unwrap() error { return e.error }

func hinted(format string, args ...any) error { return hintError{fmt.Errorf(format, args...)} }
