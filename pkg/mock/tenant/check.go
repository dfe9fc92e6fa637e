package tenant

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// faultf is one fault of a tenant's description: which field, what is wrong.
func faultf(field, format string, args ...any) error {
	return fmt.Errorf("mock: %s: %s", field, fmt.Sprintf(format, args...))
}

// oneOf refuses a value that is set, and not one of a list.
func oneOf(field, value, of string, list []string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return faultf(field, "%.200q of %s is none of %s", value, of, strings.Join(list, ", "))
}

func notNegative(field string, n int, of string) error {
	if n >= 0 {
		return nil
	}
	return faultf(field, "%d of %s is negative", n, of)
}

// signingAlgs are the algorithms of tokens, as discovery lists them.
var signingAlgs = []string{"HS256", "RS256", "PS256"}

// check refuses lifetimes that no session can have.
func (s Settings) Check() error {
	const most = 24 * 366 * 100 // hours
	if s.SessionLifetime < 0 || s.SessionLifetime > most || s.IdleSession < 0 || s.IdleSession > most {
		return faultf("session_lifetime, idle_session_lifetime", "%v and %v are not hours of at most a century",
			s.SessionLifetime, s.IdleSession)
	}
	return nil
}

// derivedID makes a stable id of n hex or more characters for a thing that has only a name.
func derivedID(name string, n int) string {
	h := sha256.Sum256([]byte(name))
	var b [2 * sha256.Size]byte
	hex.Encode(b[:], h[:])
	return string(b[:n])
}
