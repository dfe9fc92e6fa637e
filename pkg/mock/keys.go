package mock

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is defined as a SHA-1 thumbprint (RFC 7517 section 4.8)
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Key is a signing key of the tenant.
type Key struct {
	ID      string          // kid; "": derived from the key
	Private *rsa.PrivateKey // 2048 bits or more

	signer crypto.Signer // nil: Private
}

// GenerateKey makes a new 2048-bit signing key, for tests that must not share one.
func GenerateKey() (Key, error) { return generateKey(rand.Reader) }

func generateKey(random io.Reader) (Key, error) {
	k, err := rsa.GenerateKey(random, 2048)
	if err != nil {
		return Key{}, err
	}
	return Key{Private: k}, nil
}

// keyring holds the signing keys in the order of the JWKS: current, next, previous.
type keyring struct {
	mu      sync.Mutex
	keys    []Key
	next    bool // the second key is the next one
	revoked []KeyState

	nextEmbedded bool // the embedded next key is not loaded yet

	content []byte // symmetric key of opaque access tokens
	jwks    map[string][]byte
}

func newKeyring(keys []Key) (*keyring, error) {
	embedded := keys == nil
	if embedded {
		keys = []Key{embeddedKey()}
	}
	ring := &keyring{content: make([]byte, 32), next: len(keys) > 1, nextEmbedded: embedded}
	for _, k := range keys {
		if k.Private == nil || k.Private.N == nil || k.Private.N.BitLen() < 2048 {
			return nil, fieldError("keys", "key %q is not an RSA key of 2048 bits or more", k.ID)
		}
		if k.ID == "" {
			k.ID = thumbprint(k)
		}
		for _, other := range ring.keys {
			if other.ID == k.ID {
				return nil, fieldError("keys", "the id %q is used twice", k.ID)
			}
		}
		k.signer = &signatures{Signer: k.signing()}
		ring.keys = append(ring.keys, k)
	}
	if len(ring.keys) == 0 {
		return nil, fieldError("keys", "at least one key is required")
	}
	_, err := rand.Read(ring.content)
	return ring, err
}

// parseKey reads an embedded key.
func parseKey(text []byte, id string) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, errors.New("mock: " + id + " holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, err
	}
	k, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("mock: %s holds a %T", id, parsed)
	}
	return Key{ID: id, Private: k}, nil
}

// signing returns what signs with the key.
func (k Key) signing() crypto.Signer {
	if k.signer != nil {
		return k.signer
	}
	return k.Private
}

func thumbprint(k Key) string {
	h := sha256.Sum256(x509.MarshalPKCS1PublicKey(&k.Private.PublicKey))
	return base64.RawURLEncoding.EncodeToString(h[:])[:21]
}

// list returns the keys in the order of the JWKS.
func (r *keyring) list() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys)
}

func (r *keyring) current() Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[0]
}

func (r *keyring) byID(id string) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return Key{}, false
}

// document returns the JWKS. It is cached for each issuer until the keys change.
func (r *keyring) document(issuer string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if doc := r.jwks[issuer]; doc != nil {
		return doc, nil
	}
	if err := r.loadNext(); err != nil {
		return nil, err
	}
	list := make([]object, 0, len(r.keys))
	for _, k := range r.keys {
		o, err := k.jwk(issuer)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	doc := object{{"keys", list}}.bytes()
	if r.jwks == nil {
		r.jwks = map[string][]byte{}
	}
	if len(r.jwks) < 8 { // a limit, because issuers come from Host headers
		r.jwks[issuer] = doc
	}
	return doc, nil
}

// jwk renders one key with a self-signed certificate, as Auth0 does.
func (k Key) jwk(issuer string) (object, error) {
	der, err := k.certificate(issuer)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(der) //nolint:gosec // see the import
	e := big.NewInt(int64(k.Private.E)).Bytes()
	return object{
		{"alg", "RS256"},
		{"kty", "RSA"},
		{"use", "sig"},
		{"n", base64.RawURLEncoding.EncodeToString(k.Private.N.Bytes())},
		{"e", base64.RawURLEncoding.EncodeToString(e)},
		{"kid", k.ID},
		{"x5t", base64.RawURLEncoding.EncodeToString(sum[:])},
		{"x5c", []string{base64.StdEncoding.EncodeToString(der)}},
	}, nil
}

func (k Key) certificate(issuer string) ([]byte, error) {
	domain := issuer
	if u, err := url.Parse(issuer); err == nil {
		domain = u.Hostname()
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2039, 9, 9, 0, 0, 0, 0, time.UTC),
	}
	return x509.CreateCertificate(rand.Reader, cert, cert, &k.Private.PublicKey, k.signing())
}

// sign makes a compact JWS. Its header has the recorded order (alg, typ, kid), which
// an encoder of maps does not keep.
func (k Key) sign(alg, typ string, claims object, secret []byte) (string, error) {
	header := `{"alg":` + strconv.Quote(alg) + `,"typ":` + strconv.Quote(typ)
	if alg != "HS256" {
		header += `,"kid":` + strconv.Quote(k.ID)
	}
	input := encode([]byte(header+"}")) + "." + encode(claims.bytes())
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch alg {
	case "RS256":
		sig, err = k.signing().Sign(rand.Reader, sum[:], crypto.SHA256)
	case "PS256":
		sig, err = k.signing().Sign(rand.Reader, sum[:], &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "HS256":
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		sig = mac.Sum(nil)
	default:
		err = fmt.Errorf("mock: cannot sign with %q", alg)
	}
	if err != nil {
		return "", err
	}
	return input + "." + encode(sig), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
