package daemon

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxKey bounds a bearer that is worth hashing, in bytes.
const maxKey = 512

// keyring knows the callers' keys by their hashes: hashing makes all keys of
// one length, so that comparing takes the same time whatever was sent.
type keyring []heldKey

type heldKey struct {
	name    string
	hash    [sha256.Size]byte
	all     bool
	clients []string
}

func newKeyring(keys []Key) (keyring, error) {
	var ring keyring
	var faults []error
	for _, k := range keys {
		h := heldKey{name: k.Name, hash: sha256.Sum256([]byte(k.Secret.Reveal())), all: k.Clients == nil, clients: k.Clients}
		if n := len(k.Secret); n == 0 || n > maxKey {
			faults = append(faults, fmt.Errorf("daemon: key %q has %d bytes, not 1 to %d", k.Name, n, maxKey))
		}
		if slices.ContainsFunc(ring, func(o heldKey) bool { return o.hash == h.hash }) {
			faults = append(faults, fmt.Errorf("daemon: key %q has the value of another key", k.Name))
		}
		ring = append(ring, h)
	}
	return ring, errors.Join(faults...)
}

// opens says whether the key gives access to a client.
func (k *heldKey) opens(client string) bool { return k.all || slices.Contains(k.clients, client) }

// caller returns whose key a request bears (RFC 6750 section 2.1). It looks at
// every key, found or not.
func (ring keyring) caller(h http.Header) (*heldKey, *problem) {
	values := h["Authorization"]
	if len(values) == 0 {
		return nil, unauthorized("", "no caller key: send Authorization: Bearer KEY, or use the unix socket")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, unauthorized("invalid_request", "the Authorization header is not one Bearer credential")
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return nil, unauthorized("invalid_token", "the bearer is empty: the variable that holds the caller key is probably unset")
	}
	if len(key) > maxKey {
		return nil, unauthorized("invalid_token", "the caller key is not one of tokend's")
	}
	var buf [maxKey]byte // spares the copy on the heap
	sum := sha256.Sum256(buf[:copy(buf[:], key)])
	var found *heldKey
	for i := range ring {
		if subtle.ConstantTimeCompare(sum[:], ring[i].hash[:]) == 1 {
			found = &ring[i]
		}
	}
	if found == nil {
		return nil, unauthorized("invalid_token", "the caller key is not one of tokend's")
	}
	return found, nil
}

// unauthorized is a 401; reason is RFC 6750's error code, "" when no key was sent.
func unauthorized(reason, text string) *problem {
	p := &problem{
		Status: http.StatusUnauthorized, Code: "unauthorized", Description: text, challenge: `Bearer realm="tokend"`,
		Hint: "set TOKEND_API_KEY or TOKEND_API_KEY_FILE to the key of the service",
	}
	if reason != "" {
		p.challenge += `, error="` + reason + `"`
	}
	return p
}
