package mock

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock/tenant"
)

const (
	assertionType    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionMaxSize = 2048
	assertionMaxLife = 5 * time.Minute
)

var assertionAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256}

// assertionClaims are the claims that Auth0 requires in a client assertion
// (https://auth0.com/docs/get-started/authentication-and-authorization-flow/authenticate-with-private-key-jwt).
type assertionClaims struct {
	Iss string  `json:"iss"`
	Sub string  `json:"sub"`
	Aud any     `json:"aud"`
	Exp float64 `json:"exp"`
	Jti string  `json:"jti"`
}

// assertionSubject reads the client_id from an assertion before it is verified.
func assertionSubject(raw string) string {
	jws, err := parseAssertion(raw)
	if err != nil {
		return ""
	}
	var claims assertionClaims
	if unmarshalClaims(jws.UnsafePayloadWithoutVerification(), &claims) != nil {
		return ""
	}
	return claims.Sub
}

func parseAssertion(raw string) (*jose.JSONWebSignature, error) {
	if len(raw) > assertionMaxSize {
		return nil, fmt.Errorf("client_assertion is longer than %d bytes", assertionMaxSize)
	}
	if !canonical(raw) {
		return nil, errors.New("client_assertion is not base64url")
	}
	return jose.ParseSignedCompact(raw, assertionAlgs)
}

// checkAssertion verifies signature, iss and sub, aud (the issuer, slash
// included), exp and the single use of jti.
func (t *Tenant) checkAssertion(c *call, client *tenant.Client, kind, raw string) *oauthError {
	if kind != assertionType {
		return unauthorized("client_assertion_type is not jwt-bearer")
	}
	jws, err := parseAssertion(raw)
	if err != nil {
		return unauthorized("the assertion cannot be parsed")
	}
	var claims assertionClaims
	if !verifiedBy(jws, client, &claims) {
		return unauthorized("no key of the client verifies the assertion")
	}
	aud, _ := claims.Aud.(string)
	exp := time.Unix(int64(claims.Exp), 0)
	switch {
	case claims.Iss != client.ClientID || claims.Sub != client.ClientID:
		return unauthorized("iss and sub of the assertion must be the client_id")
	case aud != c.issuer:
		return unauthorized("aud of the assertion must be the issuer with its slash")
	case claims.Jti == "":
		return unauthorized("the assertion has no jti")
	case !exp.After(c.now):
		return unauthorized("the assertion has expired")
	case exp.Sub(c.now) > assertionMaxLife:
		return unauthorized("the assertion lives longer than five minutes")
	}
	return t.useOnce(client.ClientID+"\x00"+claims.Jti, exp, c.now)
}

// useOnce rejects a jti that was used before, until its assertion expires.
func (t *Tenant) useOnce(key string, exp, now time.Time) *oauthError {
	if end, seen := t.st.jtis[key]; seen && end.After(now) {
		return unauthorized("the assertion's jti was used before")
	}
	makeRoom(&t.st.room, t.st.jtis, func(end time.Time) bool { return end.Before(now) }, itself)
	t.st.jtis[key] = exp
	return nil
}

func verifiedBy(jws *jose.JSONWebSignature, client *tenant.Client, claims *assertionClaims) bool {
	if client.Authentication == nil {
		return false
	}
	for _, cred := range client.Authentication.PrivateKeyJWT.Credentials {
		header := jws.Signatures[0].Protected
		if cred.KID != "" && header.KeyID != "" && cred.KID != header.KeyID || cred.Alg != "" && cred.Alg != header.Algorithm {
			continue
		}
		block, _ := pem.Decode([]byte(cred.PEM))
		if block == nil {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			continue
		}
		if payload, err := jws.Verify(key); err == nil {
			return unmarshalClaims(payload, claims) == nil
		}
	}
	return false
}
