package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// At most two fetches of the keys in thirty seconds, so that a stream of tokens
// with made-up key ids does not become a stream of requests.
const (
	keyFetches = 2
	keyWindow  = 30 * time.Second
	minRSABits = 2048
	maxTries   = 5 // keys tried for a token without a key id

	keyMaxAge = 24 * time.Hour
	keyMinAge = 5 * time.Minute // even if Cache-Control says less
)

// keySet is the signing keys at one URL (RFC 7517).
type keySet struct {
	at    string
	fetch shared[[]jose.JSONWebKey]

	mu       sync.Mutex // guards what follows
	keys     []jose.JSONWebKey
	received time.Time // when keys were fetched
	maxAge   time.Duration
	fetches  []time.Time // times of the last fetches, including failed ones
	lastErr  error
}

// keysAt returns the key set of a URL. It does not fetch it.
func (p *Provider) keysAt(at string) *keySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.keys[at]
	if s == nil {
		s = &keySet{at: at}
		s.fetch.transient = true
		p.keys[at] = s
	}
	return s
}

// matching returns the keys that a signature may be from: those with the key id,
// or all of the right type if the token has none.
func matching(keys []jose.JSONWebKey, kid string, alg jose.SignatureAlgorithm) []jose.JSONWebKey {
	var fit []jose.JSONWebKey
	for _, k := range keys {
		if kid != "" && k.KeyID != kid || k.Algorithm != "" && k.Algorithm != string(alg) || len(fit) == maxTries {
			continue
		}
		if keyFits(k.Key, alg) {
			fit = append(fit, k)
		}
	}
	return fit
}

// keyFits reports whether a key has the type, and the curve, that an algorithm
// needs (RFC 7518 section 3.1, RFC 8037).
func keyFits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch alg {
		case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
			return true
		}
	case *ecdsa.PublicKey:
		switch alg {
		case jose.ES256:
			return k.Curve == elliptic.P256()
		case jose.ES384:
			return k.Curve == elliptic.P384()
		case jose.ES512:
			return k.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// cached returns the keys in memory. fresh is false if they must be fetched again
// before use.
func (s *keySet) cached(now time.Time) (keys []jose.JSONWebKey, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, within(now, s.received, s.maxAge)
}

// refetchKeys fetches the keys, within the rate limit; otherwise it returns those
// of the last fetch.
func (p *Provider) refetchKeys(ctx context.Context, ts *tasks, s *keySet) ([]jose.JSONWebKey, error) {
	return s.fetch.get(ctx, ts, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		s.mu.Lock()
		keys, err := s.keys, s.lastErr
		s.mu.Unlock()
		if !s.admit(p.now()) {
			return keys, err
		}
		keys, maxAge, err := p.fetchKeys(ctx, s.at)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lastErr = err; err == nil {
			s.keys, s.received, s.maxAge = keys, p.now(), maxAge
		}
		return keys, err
	})
}

// admit reports whether a fetch is allowed now, and counts it.
func (s *keySet) admit(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.fetches); n >= keyFetches {
		if since := now.Sub(s.fetches[n-keyFetches]); since >= 0 && since < keyWindow {
			return false
		}
		s.fetches = s.fetches[n-keyFetches+1:]
	}
	s.fetches = append(s.fetches, now)
	return true
}

// keyHint is the hint if there are no keys.
const keyHint = "the provider must publish an RSA, EC or Ed25519 key there"

func (p *Provider) fetchKeys(ctx context.Context, at string) ([]jose.JSONWebKey, time.Duration, error) {
	const op = "keys"
	body, header, err := p.fetch(ctx, op, at)
	if err != nil {
		return nil, 0, err
	}
	keys := parseKeys(body)
	if len(keys) == 0 {
		return nil, 0, &Error{Op: op, Class: ClassBadResponse, Description: "no usable signing keys at " + clean(at, 256), Hint: keyHint}
	}
	return keys, maxAgeOf(header), nil
}

// maxAgeOf returns how long keys may be cached: Cache-Control's max-age (RFC 9111
// section 5.2.2.1) within bounds, otherwise a day.
func maxAgeOf(h http.Header) time.Duration {
	age := keyMaxAge
	for _, part := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
		switch name {
		case "no-store", "no-cache":
			return keyMinAge
		case "max-age":
			if s, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && s >= 0 {
				age = time.Duration(s) * time.Second
			}
		}
	}
	return max(keyMinAge, min(age, keyMaxAge))
}

// parseKeys returns the usable public keys of a JWK set and ignores everything
// else.
func parseKeys(body []byte) []jose.JSONWebKey {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(trimBody(body), &set) != nil {
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
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			continue
		}
		keys = append(keys, k)
	}
	return keys
}
