package contract

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertion returns a client assertion for Auth0 (RFC 7523; aud is the issuer).
func assertion(key *rsa.PrivateKey, client, issuer string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": client, "sub": client, "aud": issuer, "jti": randomText(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// keySet is the issuer's JWKS. It is fetched again for an unknown key.
type keySet struct{ set jose.JSONWebKeySet }

func (s *scene) verificationKey(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	if k := s.keys.set.Key(kid); len(k) > 0 {
		return &k[0], nil
	}
	a, err := s.wire.send(ctx, nil, http.MethodGet, s.target.Issuer+".well-known/jwks.json", nil, "")
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(a.body, &set); err != nil {
		return nil, errors.New("the JWKS cannot be read")
	}
	s.runner.keys.set = set
	if k := set.Key(kid); len(k) > 0 {
		return &k[0], nil
	}
	return nil, fmt.Errorf("the JWKS has no key %q", clip(kid))
}

// verify checks the signature of a JWT with the issuer's keys.
func (s *scene) verify(ctx context.Context, token string) error {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return errors.New("not a JWS with RS256 or PS256")
	}
	key, err := s.verificationKey(ctx, parsed.Signatures[0].Protected.KeyID)
	if err != nil {
		return err
	}
	if _, err := parsed.Verify(key); err != nil {
		return errors.New("the issuer's key does not verify the signature")
	}
	return nil
}

// payloadOf returns the payload of a compact JWS, or nil.
func payloadOf(token string) *object {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	o, err := parseObject(b)
	if err != nil {
		return nil
	}
	return o
}

// matchJWT compares a JWT with its profile: signature, header and claims, their
// order, and the lifetime.
func (m *match) matchJWT(ctx context.Context, at, token string, p Profile, expiresIn any) {
	if err := m.scene.verify(ctx, token); err != nil {
		m.differ("%s: signature: %v", at, err)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		m.differ("%s: the payload is not base64url", at)
		return
	}
	claims, err := parseObject(payload)
	if err != nil {
		m.differ("%s: the payload is not a JSON object", at)
		return
	}
	header := joseHeader(token)
	if header == nil {
		return // verify has reported it
	}
	m.members(at+".header", m.expected(p.Header), header)
	want := m.expected(p.Header)
	m.order(at+".header", want.keys, header.keys)
	m.claims(at, p, claims)
	m.lifetime(at, p, claims, expiresIn)
}

func (m *match) claims(at string, p Profile, got *object) {
	want, also := m.expected(p.Claims), m.expected(p.Also)
	m.members(at, want, got)
	m.members(at, also, got)
	m.order(at, want.keys, got.only(want.keys))
	for _, k := range got.keys {
		switch {
		case slices.Contains(want.keys, k), slices.Contains(also.keys, k), slices.Contains(p.Optional, k):
		case slices.Contains(p.Absent, k) && m.inSettings(k, got):
		case slices.Contains(p.Absent, k):
			m.differ("%s.%s: expected none, got one", at, k)
		default:
			m.drift("claim %s of the %s", k, at)
		}
	}
}

// inSettings reports whether a claim depends on a real tenant's settings and equals
// the member of the answer.
func (m *match) inSettings(k string, claims *object) bool {
	if m.scene.isMock() || m.scene.c.Body == nil {
		return false
	}
	_, settable := m.expected(m.scene.c.Body.Settings).get(k)
	answer, err := parseObject(m.got.body)
	return settable && err == nil && claims.text(k) != "" && claims.text(k) == answer.text(k)
}

func (m *match) lifetime(at string, p Profile, got *object, expiresIn any) {
	iat, errIat := number(got, "iat")
	exp, errExp := number(got, "exp")
	if errIat != nil || errExp != nil {
		return // members has reported it
	}
	want := p.Lifetime
	if want == "expires_in" {
		n, _ := expiresIn.(json.Number)
		want = n.String()
	}
	life := strconv.FormatInt(exp-iat, 10)
	if p.Lifetime != "expires_in" && !m.scene.isMock() && exp > iat {
		return
	}
	if life != want {
		m.differ("%s: exp - iat: expected %s, got %s", at, want, life)
	}
}

func number(o *object, key string) (int64, error) {
	v, _ := o.get(key)
	n, ok := v.(json.Number)
	if !ok {
		return 0, errors.New("not a number")
	}
	return n.Int64()
}
