package tenant

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// FieldError reports a value that a tenant does not accept.
type FieldError struct {
	Object string // where the object is in the tenant file, as in "clients[1]"; "" for a value that is not in a file
	Field  string
	Reason string
}

// Error implements error.
func (e *FieldError) Error() string {
	if e.Object == "" {
		return e.Field + ": " + e.Reason
	}
	return e.Object + ": " + e.Field + ": " + e.Reason
}

// FieldErrors returns every [FieldError] in err, which may join several errors.
func FieldErrors(err error) []*FieldError {
	var joined interface{ Unwrap() []error }
	var one *FieldError
	switch {
	case errors.As(err, &joined):
		var out []*FieldError
		for _, err := range joined.Unwrap() {
			out = append(out, FieldErrors(err)...)
		}
		return out
	case errors.As(err, &one):
		return []*FieldError{one}
	}
	return nil
}

func fieldError(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// oneOf returns an error for a value that is set and not in the list.
func oneOf(field, value, of string, list []string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return fieldError(field, "%.200q of %s is not one of %s", value, of, strings.Join(list, ", "))
}

const longest = 24 * 366 * 100 // hours of the longest lifetime, so that no time overflows

// lifetime returns an error for a number of seconds that is not a lifetime.
func lifetime(field string, n int, of string) error {
	switch {
	case n < 0:
		return fieldError(field, "%d of %s is negative", n, of)
	case n > longest*3600:
		return fieldError(field, "%d of %s is longer than 100 years", n, of)
	}
	return nil
}

// signingAlgs are the algorithms of tokens, as discovery lists them.
var signingAlgs = []string{"HS256", "RS256", "PS256"}

// Check returns an error for settings that are not valid.
func (s Settings) Check() error {
	return errors.Join(
		s.checkSessions(),
		s.ErrorPage.check(),
		oneOf("resource_parameter_profile", s.ResourceProfile, "the tenant", []string{"audience", "compatibility"}),
	)
}

func (p ErrorPage) check() error {
	u, err := url.Parse(p.URL)
	if p.URL == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return nil
	}
	return fieldError("error_page.url", "%.200q is not an http or https URL", p.URL)
}

func (s Settings) checkSessions() error {
	if s.SessionLifetime < 0 || s.SessionLifetime > longest || s.IdleSession < 0 || s.IdleSession > longest {
		return fieldError("session_lifetime, idle_session_lifetime", "%v and %v must be between 0 and %d hours",
			s.SessionLifetime, s.IdleSession, longest)
	}
	return nil
}

// derivedID returns n hexadecimal characters that depend only on the name.
func derivedID(name string, n int) string {
	h := sha256.Sum256([]byte(name))
	var b [2 * sha256.Size]byte
	hex.Encode(b[:], h[:])
	return string(b[:n])
}
