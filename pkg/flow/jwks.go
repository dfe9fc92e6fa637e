package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// At most two fetches of the keys in thirty seconds, whatever tokens come in:
// a stream of made-up key ids must not become a stream of requests.
const (
	keyFetches = 2
	keyWindow  = 30 * time.Second
	minRSABits = 2048
	maxTries   = 5 // keys tried for a token without a key id
)

// keySet is the tenant's signing keys (RFC 7517).
type keySet struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched []time.Time // the last fetches, failed ones too
	fetch   shared[[]jose.JSONWebKey]
	lastErr error
}

// matching returns the keys that may have made a signature: those of the key
// id, or all of the right type when the token has none.
func matching(keys []jose.JSONWebKey, kid string, alg jose.SignatureAlgorithm) []jose.JSONWebKey {
	var fit []jose.JSONWebKey
	for _, k := range keys {
		if kid != "" && k.KeyID != kid || k.Algorithm != "" && k.Algorithm != string(alg) || len(fit) == maxTries {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if alg != jose.ES256 {
				fit = append(fit, k)
			}
		case *ecdsa.PublicKey:
			if alg == jose.ES256 && key.Curve == elliptic.P256() {
				fit = append(fit, k)
			}
		}
	}
	return fit
}

func (p *provider) cachedKeys() []jose.JSONWebKey {
	p.jwks.mu.Lock()
	defer p.jwks.mu.Unlock()
	return p.jwks.keys
}

// refetchKeys fetches the keys, within the rate limit; without a fetch it
// returns those of the last one.
func (p *provider) refetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	return p.jwks.fetch.get(ctx, p.tasks, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		s := &p.jwks
		s.mu.Lock()
		keys, err := s.keys, s.lastErr
		s.mu.Unlock()
		if s.admit(p.cfg.Now()) {
			keys, err = p.fetchKeys(ctx)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lastErr = err; err == nil {
			s.keys = keys
		}
		return keys, err
	})
}

// admit notes a fetch, if one is allowed now.
func (s *keySet) admit(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.fetched); n >= keyFetches {
		if since := now.Sub(s.fetched[n-keyFetches]); since >= 0 && since < keyWindow {
			return false
		}
		s.fetched = s.fetched[n-keyFetches+1:]
	}
	s.fetched = append(s.fetched, now)
	return true
}

func (p *provider) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	const op = "keys"
	m, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	body, err := p.fetch(ctx, op, m.JWKS)
	if err != nil {
		return nil, err
	}
	keys := parseKeys(body)
	if len(keys) == 0 {
		return nil, &Error{
			Op: op, Class: ClassBadResponse, Description: "no usable signing keys at " + m.JWKS,
			Hint: "the tenant must publish an RSA or P-256 key there",
		}
	}
	return keys, nil
}

// parseKeys returns the usable public keys of a JWK set; junk among them is
// passed over.
func parseKeys(body []byte) []jose.JSONWebKey {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < minRSABits {
				continue
			}
		case *ecdsa.PublicKey:
		default:
			continue
		}
		keys = append(keys, k)
	}
	return keys
}
