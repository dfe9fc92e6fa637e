package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxKey bounds an API key, in bytes.
const maxKey = 512

// Key is a caller: how it is recognized, and what it may do. An API key has Secret or
// Hash, other callers have UIDs, GIDs, Certificates or Tokens.
type Key struct {
	Name   string                       // of the caller, in the log
	Secret interface{ Reveal() string } // a type that masks itself; nil: only its hash is known
	Hash   [sha256.Size]byte            // of a key without Secret

	UIDs, GIDs   []int    // of processes on the unix socket; a user precedes its group
	Certificates []string // names in verified client certificates: dns:HOST, uri:URI, email:ADDRESS
	Tokens       []TokenRule

	Clients   []string  // names; nil: all clients
	Audiences []string  // that its tokens may be for; nil: all
	ReadOnly  bool      // it may not change grants
	Expires   time.Time // zero: never
	Rate      float64   // requests per second; 0: that of the guard
}

// keyless reports whether a caller is recognized without an API key.
func (k Key) keyless() bool {
	return k.UIDs != nil || k.GIDs != nil || k.Certificates != nil || k.Tokens != nil
}

// keyring knows API keys by their hashes: hashes have the same length, so that
// comparing takes the same time for every value.
type keyring []hashedKey

type hashedKey struct {
	hash   [sha256.Size]byte
	caller Caller
}

func newKeyring(keys []Key, limitOf func(Key) *limit) (keyring, error) {
	var ring keyring
	var faults []error
	for _, k := range keys {
		if k.keyless() {
			continue
		}
		h := hashedKey{hash: k.Hash, caller: callerOf(k, limitOf(k))}
		if k.Secret != nil || h.hash == [sha256.Size]byte{} {
			var secret string
			if k.Secret != nil {
				secret = k.Secret.Reveal()
			}
			if n := len(secret); n == 0 || n > maxKey {
				faults = append(faults, fmt.Errorf("API key %q has %d bytes, not 1 to %d", k.Name, n, maxKey))
			}
			h.hash = sha256.Sum256([]byte(secret))
		}
		h.caller.id = idOf("key", k.Name, h.hash[:])
		if slices.ContainsFunc(ring, func(o hashedKey) bool { return o.hash == h.hash }) {
			faults = append(faults, fmt.Errorf("API key %q has the value of another key", k.Name))
		}
		ring = append(ring, h)
	}
	return ring, errors.Join(faults...)
}

// bearer returns the credential of a request (RFC 6750 section 2.1).
func bearer(h http.Header) (string, *Refusal) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", unauthorized("", "no API key", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service, by default in ~/.local/state/tokend/api.key (XDG_STATE_HOME)"+
			"; over HTTP: Authorization: Bearer KEY; or use the unix socket")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", unauthorized("invalid_request", "the Authorization header is not one Bearer credential", "send Authorization: Bearer KEY, once")
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return "", unauthorized("invalid_token", "the bearer token is empty", "check that the variable with the API key is set")
	}
	return key, nil
}

// caller returns the caller of an API key, or nil. It compares with every key, even after
// a match, so that the time says nothing.
func (ring keyring) caller(key string) *Caller {
	if len(key) > maxKey {
		return nil
	}
	var buf [maxKey]byte // avoids an allocation
	sum := sha256.Sum256(buf[:copy(buf[:], key)])
	var found *Caller
	for i := range ring {
		if subtle.ConstantTimeCompare(sum[:], ring[i].hash[:]) == 1 {
			found = &ring[i].caller
		}
	}
	return found
}

func wrongKey() *Refusal {
	return unauthorized("invalid_token", "unknown API key", "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to a key of the service; tokend key list shows those that are not revoked")
}

// unauthorized is a 401; reason is RFC 6750's error code, "" when no key was sent.
func unauthorized(reason, description, hint string) *Refusal {
	f := &Refusal{Status: http.StatusUnauthorized, Code: "unauthorized", Description: description, Hint: hint, Challenge: `Bearer realm="tokend"`}
	if reason != "" {
		f.Challenge += `, error="` + reason + `"`
	}
	return f
}
