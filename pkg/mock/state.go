package mock

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// Lifetimes that Auth0 documents, in seconds unless a time.Duration
// (docs/mock.md has the sources).
const (
	eligibleRole = "agent" // of the protected API under /_mock/resource/

	maxKept = 100000 // entries of a kind; the oldest kinds of state give way

	codeLifetime    = 10 * time.Minute // undocumented at Auth0; RFC 6749 section 4.1.2 recommends at most ten minutes
	loginLifetime   = time.Hour
	sessionLifetime = 168 * time.Hour
	sessionIdle     = 72 * time.Hour
)

// state is everything that a tenant knows, guarded by Tenant.mu: what an
// administrator described and what came to be since.
type state struct {
	description
	runtime
}

// runtime is what sign-ins and token requests leave behind.
type runtime struct {
	login    LoginMode
	sessions map[string]*session     // by cookie
	logins   map[string]*transaction // by the state of /u/login
	consents map[string]bool         // by consentKey
	codes    map[string]*code        // by hash
	families map[string]*family      // by id
	refresh  map[string]*refreshToken
	owned    map[string][]*family // by ownerKey, oldest first
	devices  map[string]*device   // by hash of the device_code
	attempts map[string]int       // failed ones, by hash of kind and subject
	pushed   map[string]*pushed   // by request_uri
	revoked  map[string]time.Time // when access tokens, by hash, ceased to open /userinfo
	jtis     map[string]time.Time // client assertions that were used, until they expire
	issuers  map[string]bool      // under which tokens were minted; see Tenant.At
}

func newState(e *tenant.File, login LoginMode) (*state, error) {
	d, err := newDescription(e)
	if err != nil {
		return nil, err
	}
	return &state{description: *d, runtime: runtime{
		login: login, sessions: map[string]*session{}, logins: map[string]*transaction{}, consents: map[string]bool{},
		codes: map[string]*code{}, families: map[string]*family{}, refresh: map[string]*refreshToken{},
		owned: map[string][]*family{}, devices: map[string]*device{}, pushed: map[string]*pushed{},
		revoked: map[string]time.Time{}, jtis: map[string]time.Time{}, attempts: map[string]int{}, issuers: map[string]bool{},
	}}, nil
}

// evict keeps a map below a number of entries: those that are over go
// first, then any, an eighth at once so that it is done rarely.
func evict[V any](m map[string]V, most int, over func(V) bool) {
	if len(m) < most {
		return
	}
	for k, v := range m {
		if over(v) {
			delete(m, k)
		}
	}
	if len(m) < most {
		return
	}
	for k := range m {
		if len(m) <= most-most/8 {
			return
		}
		delete(m, k)
	}
}

// randomString returns n characters of base64url.
func (t *Tenant) randomString(n int) string {
	b := make([]byte, (n*6+7)/8)
	if _, err := t.random.Read(b); err != nil {
		panic(fmt.Sprintf("mock: no randomness: %v", err)) // crypto/rand never fails; a test's reader ran dry
	}
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

// hash is how codes and tokens are kept, so that a dump of the state holds none.
func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
