package mock

import (
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

const nonceLifetime = 5 * time.Minute // undocumented at Auth0; the nonce before stays valid as long

// noncePolicy says whose DPoP proofs need a nonce of the tenant.
type noncePolicy string

const (
	noncePublic noncePolicy = "public" // public clients, as at Auth0
	nonceAll    noncePolicy = "all"
	nonceNone   noncePolicy = "none"
)

// nonces are the tenant's DPoP nonces (RFC 9449 section 8). All clients share them.
type nonces struct {
	current  string
	previous string
	since    time.Time
}

// dpopNonce returns the current nonce. The caller holds t.mu.
func (t *Tenant) dpopNonce(now time.Time) string {
	n := &t.st.nonces
	switch age := now.Sub(n.since); {
	case n.current == "" || age < 0 || age >= 2*nonceLifetime:
		*n = nonces{current: t.randomString(32), since: now}
	case age >= nonceLifetime:
		*n = nonces{current: t.randomString(32), previous: n.current, since: now}
	}
	return n.current
}

// offerNonce sets DPoP-Nonce on the answer to a request with a proof, so that the
// next proof can have it.
func (t *Tenant) offerNonce(c *call) {
	if len(c.r.Header.Values("DPoP")) == 0 {
		return
	}
	h := c.w.Header()
	h.Set("DPoP-Nonce", t.dpopNonce(c.now))
	if exposed := h.Get("Access-Control-Expose-Headers"); exposed != "" {
		h.Set("Access-Control-Expose-Headers", exposed+", DPoP-Nonce")
	}
}

// checkNonce refuses a proof without a nonce from a client that needs one, and an
// unknown nonce. The client sends the same request again with the nonce of the answer.
func (t *Tenant) checkNonce(c *call, client *tenant.Client, p *proof) *oauthError {
	policy := t.st.noncePolicy
	current := t.dpopNonce(c.now)
	known := p.nonce != "" && (p.nonce == current || p.nonce == t.st.nonces.previous)
	switch {
	case policy == nonceNone || known:
		return nil
	case p.nonce == "" && policy == noncePublic && !client.Public():
		return nil
	}
	return refuse("use_dpop_nonce", "Authorization server requires nonce in DPoP proof")
}
