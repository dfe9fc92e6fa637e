package contract

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// proofs are the DPoP keys of a scene and what the next proof needs (RFC 9449).
type proofs struct {
	own, other *ecdsa.PrivateKey
	nonce      string // of the last answer that had one
	next       string // the proof of the next request of a step
}

// keepNonce stores the DPoP-Nonce of an answer.
func (s *scene) keepNonce(a *answer) {
	if n := a.header.Get("DPoP-Nonce"); n != "" {
		s.dpop.nonce = n
	}
}

// stepProof makes a proof for POST /oauth/token with the scene's key and without a
// nonce: {{dpop}}; {{jkt}} is the key's thumbprint. Its variants change one trait.
func stepProof(ctx context.Context, s *scene, arg string) error {
	own, err := s.ownKey()
	if err != nil {
		return err
	}
	p := proof{method: http.MethodPost, url: s.target.Issuer + "oauth/token"}
	key, name := own, "dpop"
	switch arg {
	case "":
	case "nonce":
		if p.nonce, err = s.askForNonce(ctx); err != nil {
			return err
		}
	case "wrong_htu":
		p.url, name = s.target.Issuer+"oauth/elsewhere", "dpop_wrong_htu"
	case "other_key":
		if key, name, p.nonce = s.dpop.other, "dpop_other_key", s.dpop.nonce; key == nil {
			if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				return err
			}
			s.dpop.other = key
		}
	case "userinfo":
		p, name = proof{method: http.MethodGet, url: s.target.Issuer + "userinfo", nonce: s.dpop.nonce, token: s.vars["at"]}, "dpop_userinfo"
	default:
		return fmt.Errorf("no such proof %q", arg)
	}
	signed, err := s.prove(key, p)
	if err == nil {
		s.setSecret(name, signed)
	}
	return err
}

// ownKey returns the scene's key and sets {{jkt}}.
func (s *scene) ownKey() (*ecdsa.PrivateKey, error) {
	if s.dpop.own != nil {
		return s.dpop.own, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	sum, err := (&jose.JSONWebKey{Key: &key.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	s.dpop.own, s.vars["jkt"] = key, base64.RawURLEncoding.EncodeToString(sum)
	return key, nil
}

// proof is what a DPoP proof says.
type proof struct {
	method, url string
	nonce       string
	token       string // an access token, for ath
}

func (s *scene) prove(key *ecdsa.PrivateKey, p proof) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return "", err
	}
	claims := map[string]any{"jti": randomText(), "htm": p.method, "htu": p.url, "iat": s.target.Now().Unix()}
	if p.nonce != "" {
		claims["nonce"] = p.nonce
	}
	if p.token != "" {
		sum := sha256.Sum256([]byte(p.token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// withProof makes a proof of the scene's key, with the last nonce, for the next
// request of a step to /oauth/token.
func (s *scene) withProof() error {
	key, err := s.ownKey()
	if err != nil {
		return err
	}
	s.dpop.next, err = s.prove(key, proof{method: http.MethodPost, url: s.target.Issuer + "oauth/token", nonce: s.dpop.nonce})
	return err
}

// askForNonce sends {{code}} with a proof without a nonce, which must be refused
// with one.
func (s *scene) askForNonce(ctx context.Context) (string, error) {
	s.dpop.nonce = ""
	if err := s.withProof(); err != nil {
		return "", err
	}
	a, err := s.sendCode(ctx)
	switch {
	case err != nil:
		return "", err
	case a.code() != "use_dpop_nonce" || s.dpop.nonce == "":
		return "", errors.New("no nonce: " + a.summary())
	}
	return s.dpop.nonce, nil
}

// stepExchange is exchange and exchange:dpop, which sends a proof and repeats the
// request if the tenant asks for a nonce.
func stepExchange(ctx context.Context, s *scene, arg string) error {
	if arg != "dpop" {
		return s.exchange(ctx)
	}
	if err := s.withProof(); err != nil {
		return err
	}
	a, err := s.sendCode(ctx)
	if err == nil && a.code() == "use_dpop_nonce" {
		if err = s.withProof(); err == nil {
			a, err = s.sendCode(ctx)
		}
	}
	if err != nil {
		return err
	}
	return s.takeTokens(a)
}

// code_lives_with_nonce: {{code}} can be exchanged with a proof that has the nonce of
// the answer.
func mustExchangeWithNonce(ctx context.Context, s *scene, _ string) error {
	if s.dpop.nonce == "" {
		return errors.New("the answer has no DPoP-Nonce")
	}
	if err := s.withProof(); err != nil {
		return err
	}
	return s.exchange(ctx)
}

// lives_dpop:rt: {{rt}} works with a proof of the scene's key.
func mustWorkWithProof(ctx context.Context, s *scene, arg string) error {
	if err := s.withProof(); err != nil {
		return err
	}
	return mustWork(ctx, s, arg)
}
