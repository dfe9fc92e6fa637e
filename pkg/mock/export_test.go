package mock

import (
	"crypto"
	"crypto/rsa"
	"net/http"
)

// SendLogoutTokensBy replaces the transport of logout tokens.
func (t *Tenant) SendLogoutTokensBy(rt http.RoundTripper) { t.deliveries.transport = rt }

// WaitForLogoutTokens waits until every logout token is sent.
func (t *Tenant) WaitForLogoutTokens() {
	t.deliveries.mu.Lock()
	b := t.deliveries.current
	t.deliveries.mu.Unlock()
	b.running.Wait()
}

// Routes returns the methods of each path of the route table, for tests.
func (t *Tenant) Routes() map[string]string {
	out := map[string]string{}
	for path, r := range t.routes {
		out[path] = r.methods
	}
	return out
}

// SignUpAsMany makes the tenant count as many sign-ups as it accepts.
func (t *Tenant) SignUpAsMany() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.signups = maxSignups
}

// KeepAtMost changes how many entries of each kind of state the tenant keeps.
func (t *Tenant) KeepAtMost(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.st.room.most = n
}

// NewTestKey returns what signs with the embedded key, for a key with any number of primes.
func NewTestKey(k *rsa.PrivateKey) crypto.Signer { return newTestKey(k) }

// Power raises a number by the private exponent of a [NewTestKey].
func Power(s crypto.Signer, number []byte) []byte { return s.(*testKey).private(number) }

// EmbeddedKey returns the key of a tenant without keys of its own.
func EmbeddedKey() Key { return embeddedKey() }

// Signer returns what signs with the key.
func (k Key) Signer() crypto.Signer { return k.signing() }

// Remembering returns a key that does not sign the same twice.
func Remembering(s crypto.Signer) crypto.Signer { return &signatures{Signer: s} }

// MaxSignatures is the limit of what it remembers.
const MaxSignatures = maxSignatures
