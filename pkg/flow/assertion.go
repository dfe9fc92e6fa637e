package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = 2 * time.Minute // Auth0 accepts up to five minutes; the rest allows for a wrong clock
)

// PrivateKey signs the assertions of a client that authenticates with
// [AuthPrivateKeyJWT]. [ParsePrivateKey] returns one. Printing it shows its
// algorithm and key id, but not the key.
type PrivateKey struct {
	id     string
	alg    jose.SignatureAlgorithm
	signer jose.Signer
	hash   string // fingerprint of the key
}

// Equal reports whether two keys have the same key, key id and algorithm. Two nil
// keys are equal.
func (k *PrivateKey) Equal(o *PrivateKey) bool {
	if k == nil || o == nil {
		return k == o
	}
	return k.id == o.id && k.alg == o.alg && k.hash == o.hash
}

// signingAlgorithms returns the algorithms that Auth0 accepts for a key's type,
// the default first
// (https://auth0.com/docs/get-started/applications/configure-private-key-jwt).
func signingAlgorithms(key any) []jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256}
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			return []jose.SignatureAlgorithm{jose.ES384}
		}
	}
	return nil
}

// ParsePrivateKey reads a PEM-encoded private key: PKCS #8, PKCS #1 (RSA) or SEC
// 1 (EC). RSA keys of at least 2048 bits sign with RS256, RS384 or PS256, keys on
// P-256 with ES256, on P-384 with ES384. An empty algorithm selects the first one
// of the key's type. id is the key's id at the provider, "" for none.
func ParsePrivateKey(pemText Secret, id, algorithm string) (*PrivateKey, error) {
	fault := func(hint, format string, a ...any) (*PrivateKey, error) {
		return nil, &Error{Op: "config", Class: ClassConfig, Description: "the private key " + fmt.Sprintf(format, a...), Hint: hint}
	}
	block, rest := pem.Decode([]byte(pemText.Reveal()))
	if block == nil {
		return fault("give the file that begins with -----BEGIN PRIVATE KEY-----", "is not PEM-encoded")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return fault("the file must contain only the private key", "is followed by other data")
	}
	key, hint, what := decodeKey(block)
	if what != "" {
		return fault(hint, "%s", what)
	}
	if k, ok := key.(*rsa.PrivateKey); ok && k.N.BitLen() < minRSABits {
		return fault("create one of at least 2048 bits", "has %d bits", k.N.BitLen())
	}
	algs := signingAlgorithms(key)
	if algs == nil {
		return fault("use an RSA key, or an EC key on P-256 or P-384", "has an unsupported type")
	}
	alg := jose.SignatureAlgorithm(algorithm)
	if alg == "" {
		alg = algs[0]
	}
	if !slices.Contains(algs, alg) {
		return fault(fmt.Sprintf("use one of %v, as set for the application's credential", algs), "does not sign with %q", clean(algorithm, 16))
	}
	o := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		o = o.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		return fault("", "cannot be used")
	}
	return &PrivateKey{id: id, alg: alg, signer: signer, hash: fingerprint(Secret(block.Bytes))}, nil
}

// decodeKey returns the key in a PEM block, or a hint and what is wrong with it.
// It leaves out the parsers' messages, because they may quote the secret.
func decodeKey(b *pem.Block) (key any, hint, what string) {
	var err error
	switch b.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		if b.Headers["DEK-Info"] != "" {
			return nil, "remove the password: openssl pkey -in KEY -out PLAIN", "is encrypted with a password"
		}
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, "remove the password: openssl pkey -in KEY -out PLAIN", "is encrypted with a password"
	default:
		return nil, "use the private key, not the public key or a certificate", fmt.Sprintf("is not a private key but %q", clean(b.Type, 32))
	}
	if err != nil {
		return nil, "create a new key, or copy the complete file", "is damaged"
	}
	return key, "", ""
}

// String masks.
func (k *PrivateKey) String() string { return fmt.Sprintf("private key %q, %s", k.id, k.alg) }

// Format implements [fmt.Formatter] and masks for every verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue implements [slog.LogValuer] and masks.
func (k *PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// assert adds a new assertion to a request (RFC 7523 section 2.2). Its audience
// is the issuer, slash included, as Auth0 documents
// (https://auth0.com/docs/get-started/authentication-and-authorization-flow/authenticate-with-private-key-jwt).
// An assertion works once, so each request gets its own. An assertion from
// [Config.AssertionFrom] is sent unchanged.
func (c *Client) assert(ctx context.Context, form url.Values) error {
	if c.cfg.AssertionFrom != nil {
		text, err := c.clientAssertion(ctx)
		if err != nil {
			return err
		}
		c.setAssertion(form, text.Reveal())
		return nil
	}
	id := make([]byte, 24)
	if _, err := io.ReadFull(c.cfg.Rand, id); err != nil {
		return fmt.Errorf("no randomness: %w", err)
	}
	now := c.cfg.Now()
	claims, err := json.Marshal(struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Aud string `json:"aud"`
		Iat int64  `json:"iat"`
		Exp int64  `json:"exp"`
		Jti string `json:"jti"`
	}{c.cfg.ClientID, c.cfg.ClientID, c.cfg.Issuer, now.Unix(), now.Add(assertionLife).Unix(), base64.RawURLEncoding.EncodeToString(id)})
	if err != nil {
		return err
	}
	jws, err := c.cfg.PrivateKey.signer.Sign(claims)
	if err != nil {
		return fmt.Errorf("the client assertion cannot be signed: %w", err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		return err
	}
	c.setAssertion(form, text)
	return nil
}

func (c *Client) setAssertion(form url.Values, text string) {
	form.Set("client_id", c.cfg.ClientID)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", text)
}
