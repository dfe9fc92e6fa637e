package mock

import (
	"crypto"
	"io"
	"sync"
)

const maxSignatures = 64 // more would help no one: claims change every second

// signatures is a key that does not sign the same twice. RS256 is deterministic (RFC
// 8017 section 8.2.1), so that equal claims, iat and exp included, make equal tokens,
// here and at Auth0: its access tokens have a jti in the RFC 9068 profile only. A client
// that asks several times in a second gets the same token again, and signing is most of
// what a token costs.
type signatures struct {
	crypto.Signer

	mu    sync.Mutex
	known map[[32]byte][]byte // by digest
}

// Sign implements [crypto.Signer]. It does not keep PS256, which is salted.
func (s *signatures) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != crypto.SHA256 {
		return s.Signer.Sign(random, digest, opts)
	}
	key := [32]byte(digest)
	if sig := s.get(key); sig != nil {
		return sig, nil
	}
	sig, err := s.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	s.put(key, sig)
	return sig, nil
}

func (s *signatures) get(key [32]byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

func (s *signatures) put(key [32]byte, sig []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSignatures {
		s.known = make(map[[32]byte][]byte)
	}
	s.known[key] = sig
}
