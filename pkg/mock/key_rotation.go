package mock

import (
	_ "embed"
	"io"
	"net/http"
	"slices"
	"time"
)

// A tenant has a current key, which signs, a next one, and after a rotation the
// previous one; the JWKS has them in this order
// (https://auth0.com/docs/get-started/tenant-settings/signing-keys).

// nextKeyPEM is the next key of a tenant with the embedded one. It is as public.
//
//go:embed nextkey.pem
var nextKeyPEM []byte

const (
	nextKeyID      = "mockauth0-test-next-1"
	revokedKeys    = 3 // that are listed, as at Auth0
	mostKeysAtOnce = 10
)

// KeyState is the state of a signing key.
type KeyState struct {
	ID        string     `json:"kid"`
	Current   bool       `json:"current,omitempty"`  // signs
	Next      bool       `json:"next,omitempty"`     // signs after the next rotation; in the JWKS
	Previous  bool       `json:"previous,omitempty"` // signed before; in the JWKS, and its tokens are valid
	Revoked   bool       `json:"revoked,omitempty"`  // not in the JWKS, and its tokens are not valid
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// Keys returns the signing keys in the order of the JWKS (current, next, previous), and
// then the last three revoked ones.
func (t *Tenant) Keys() []KeyState { return t.keys.states() }

// RotateKey makes the next key the current one. The JWKS keeps the previous key; the one
// before it is revoked.
func (t *Tenant) RotateKey() error { return t.keys.rotate(t.random, t.clock.Now()) }

// RevokeKey revokes the previous key, by its id or "": it leaves the JWKS, and the
// tenant refuses its tokens. The current key must be rotated before.
func (t *Tenant) RevokeKey(id string) error { return t.keys.revoke(id, t.clock.Now()) }

// loadNext adds the next key of a ring with the embedded key. Most tenants need it
// never, or with the JWKS only. The caller holds r.mu.
func (r *keyring) loadNext() error {
	if !r.nextEmbedded {
		return nil
	}
	k, err := parseKey(nextKeyPEM, nextKeyID)
	if err != nil {
		return err
	}
	k.signer = &signatures{Signer: k.Private}
	r.keys, r.next, r.nextEmbedded = slices.Insert(r.keys, 1, k), true, false
	return nil
}

func (r *keyring) rotate(random io.Reader, now time.Time) error {
	k, err := generateKey(random) // slow
	if err != nil {
		return err
	}
	k.ID, k.signer = thumbprint(k), &signatures{Signer: k.Private}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadNext(); err != nil {
		return err
	}
	kept, before := []Key{k, r.keys[0]}, r.keys[1:]
	if r.next {
		kept, before = []Key{r.keys[1], k, r.keys[0]}, r.keys[2:]
	}
	for _, old := range before {
		r.addRevoked(old.ID, now)
	}
	r.keys, r.jwks = kept, nil
	return nil
}

func (r *keyring) addRevoked(id string, now time.Time) {
	r.revoked = append(r.revoked, KeyState{ID: id, Revoked: true, RevokedAt: &now})
	r.revoked = r.revoked[max(0, len(r.revoked)-revokedKeys):]
}

func (r *keyring) revoke(id string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadNext(); err != nil {
		return err
	}
	first := 1 // of the previous keys
	if r.next {
		first = 2
	}
	at := slices.IndexFunc(r.keys, func(k Key) bool { return k.ID == id })
	if id == "" {
		at = len(r.keys) - 1
	}
	switch {
	case id == "" && at < first:
		return fieldError("kid", "there is no previous key; rotate first")
	case at < 0:
		return fieldError("kid", "%q is none of the tenant's valid keys", id)
	case at == 0:
		return fieldError("kid", "%q is the current key; rotate first", id)
	case at < first:
		return fieldError("kid", "%q is the next key, which has signed nothing", id)
	}
	r.addRevoked(r.keys[at].ID, now)
	r.keys, r.jwks = slices.Delete(slices.Clone(r.keys), at, at+1), nil
	return nil
}

func (r *keyring) states() []KeyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadNext(); err != nil {
		panic("mock: " + err.Error()) // the embedded key
	}
	out := make([]KeyState, 0, len(r.keys)+len(r.revoked))
	for i, k := range r.keys {
		next := i == 1 && r.next
		out = append(out, KeyState{ID: k.ID, Current: i == 0, Next: next, Previous: i > 0 && !next})
	}
	return append(out, r.revoked...)
}

// isRevoked reports whether a key was revoked.
func (r *keyring) isRevoked(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.revoked, func(s KeyState) bool { return s.ID == id })
}

// keyTable lists the calls for keys and tokens.
func (t *Tenant) keyTable() []control {
	return []control{
		{"GET /_mock/keys", "the signing keys: current, next, previous and the last revoked ones", t.showKeys},
		{"POST /_mock/keys/rotate", `makes the next key the current one: {"revoke":true} also revokes the key before, {"times":2} rotates twice`, t.rotateKeys},
		{"POST /_mock/keys/revoke", `revokes the previous key, or the one of {"kid":"…"}`, t.revokeKey},
		{"POST /_mock/tokens", `issues a token: {"user":"agent@example.com","audience":"https://api.example.com/","lifetime":"1h"}, a bad one with {"defects":["expired"]}`, nil},
	}
}

func (t *Tenant) showKeys(w http.ResponseWriter, _ *http.Request) {
	list := t.Keys()
	respondJSON(w, struct {
		Count int        `json:"count"`
		Keys  []KeyState `json:"keys"`
	}{len(list), list})
}

func (t *Tenant) rotateKeys(w http.ResponseWriter, r *http.Request) {
	in := struct {
		Times  int  `json:"times"`
		Revoke bool `json:"revoke"`
	}{Times: 1}
	err := decode(r, &in)
	if err == nil && (in.Times < 1 || in.Times > mostKeysAtOnce) {
		err = fieldError("times", "%d is not between 1 and %d", in.Times, mostKeysAtOnce)
	}
	for i := 0; err == nil && i < in.Times; i++ {
		err = t.RotateKey()
	}
	if err == nil && in.Revoke {
		err = t.RevokeKey("")
	}
	t.answerKeys(w, r, err)
}

func (t *Tenant) revokeKey(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID string `json:"kid"`
	}
	err := decode(r, &in)
	if err == nil {
		err = t.RevokeKey(in.ID)
	}
	t.answerKeys(w, r, err)
}

func (t *Tenant) answerKeys(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		writeInputError(w, err)
		return
	}
	t.showKeys(w, r)
}
