package flow

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxIDToken = 16 << 10
	clockSkew  = 30 * time.Second // tolerance for exp
	iatSkew    = 5 * time.Minute  // tolerance for iat and nbf
	farFuture  = 50 * 365 * 24 * time.Hour
)

// asymmetric returns the only algorithms that are ever accepted. "none" and HS256
// are not among them, even if the provider announces them, so that a public key
// is never used as a shared secret (RFC 8725 section 3.1).
func asymmetric() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// allowedAlgorithms returns the algorithms that ID tokens may have: the
// asymmetric ones that the provider announces, or three defaults if it announces
// none.
func allowedAlgorithms(announced []string) []jose.SignatureAlgorithm {
	if len(announced) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
	}
	return slices.DeleteFunc(asymmetric(), func(a jose.SignatureAlgorithm) bool { return !slices.Contains(announced, string(a)) })
}

// expected is what an ID token is compared with.
type expected struct {
	nonce       string // "": not checked, after a refresh (section 12.2)
	subject     string // "": any
	accessToken string // for at_hash
}

// identity is what is kept of an ID token.
type identity struct {
	subject  string
	authTime time.Time
}

// verify verifies an ID token by OpenID Connect Core 1.0 sections 3.1.3.7 and
// 12.2.
func (v *view) verify(ctx context.Context, op, raw string, want expected) (identity, error) {
	reject := func(err error) (identity, error) {
		return identity{}, &Error{Op: op, Class: ClassBadResponse, Description: "the ID token is rejected: " + err.Error(), Err: err}
	}
	if len(raw) > maxIDToken {
		return reject(fmt.Errorf("it is larger than %d KiB", maxIDToken>>10))
	}
	payload, alg, err := v.verifySignature(ctx, raw)
	var e *Error
	if errors.As(err, &e) { // the keys are not available: this says nothing about the token
		return identity{}, err
	}
	if err != nil {
		return reject(err)
	}
	id, err := v.checkClaims(payload, alg, want)
	if err != nil {
		return reject(err)
	}
	return id, nil
}

// verifySignature returns the payload of a token that one of the provider's keys
// has signed, and its algorithm. It never uses keys in the token's own header. types are
// those of other tokens than ID tokens that are accepted (RFC 8725 section 3.11).
func (v *view) verifySignature(ctx context.Context, raw string, types ...string) ([]byte, jose.SignatureAlgorithm, error) {
	jws, err := jose.ParseSignedCompact(raw, asymmetric())
	if err != nil {
		return nil, "", errors.New("it is not a JWT signed with an asymmetric algorithm")
	}
	h := jws.Signatures[0].Header
	alg := jose.SignatureAlgorithm(h.Algorithm)
	if typ, _ := h.ExtraHeaders[jose.HeaderType].(string); strings.HasSuffix(strings.ToLower(typ), "+jwt") && !slices.Contains(types, strings.ToLower(typ)) {
		return nil, "", fmt.Errorf("its type is %q: it is a token of another kind", clean(typ, 64))
	}
	at, announced, err := v.keySource(ctx)
	if err != nil {
		return nil, "", err
	}
	if allowed := allowedAlgorithms(announced); !slices.Contains(allowed, alg) {
		return nil, "", fmt.Errorf("it is not a JWT signed with one of %v", allowed)
	}
	payload, err := v.tryKeys(ctx, v.keysAt(at), jws, h.KeyID, alg)
	return payload, alg, err
}

// tryKeys verifies a signature with the keys in memory and then, once, with
// fetched keys. Expired keys are fetched again first, and used if that fails.
func (v *view) tryKeys(ctx context.Context, s *keySet, jws *jose.JSONWebSignature, kid string, alg jose.SignatureAlgorithm) ([]byte, error) {
	try := func(keys []jose.JSONWebKey) []byte {
		for _, k := range matching(keys, kid, alg) {
			if payload, err := jws.Verify(k.Key); err == nil {
				return payload
			}
		}
		return nil
	}
	old, fresh := s.cached(v.now())
	if fresh {
		if payload := try(old); payload != nil {
			return payload, nil
		}
	}
	keys, err := v.refetchKeys(ctx, v.tasks, s) // the provider may have a new key
	if err != nil {
		if payload := try(old); payload != nil {
			return payload, nil
		}
		return nil, err
	}
	if payload := try(keys); payload != nil {
		return payload, nil
	}
	if len(matching(keys, kid, alg)) == 0 {
		return nil, fmt.Errorf("no key of the provider has its key id %q and algorithm %s", clean(kid, 64), alg)
	}
	return nil, errors.New("its signature is wrong")
}

var claimNames = []string{"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "auth_time"}

func (v *view) checkClaims(payload []byte, alg jose.SignatureAlgorithm, want expected) (identity, error) {
	m, err := members(payload, claimNames...)
	if err != nil {
		return identity{}, fmt.Errorf("its payload %w", err)
	}
	if iss, ok := text(m, "iss"); !ok || iss != v.cfg.Issuer {
		return identity{}, fmt.Errorf("its iss is %q, not %q", clean(iss, 256), v.cfg.Issuer)
	}
	if err := checkAudience(m, v.cfg.ClientID); err != nil {
		return identity{}, err
	}
	now := v.cfg.Now()
	if err := checkTimes(m, now); err != nil {
		return identity{}, err
	}
	nonce, ok := text(m, "nonce")
	if want.nonce != "" && (!ok || subtle.ConstantTimeCompare([]byte(nonce), []byte(want.nonce)) != 1) {
		return identity{}, errors.New("its nonce is not the one of this login")
	}
	id := identity{}
	if id.subject, ok = text(m, "sub"); !ok || id.subject == "" {
		return identity{}, errors.New("it has no sub")
	}
	if want.subject != "" && id.subject != want.subject {
		return identity{}, errors.New("its sub is another user's")
	}
	if h, ok := text(m, "at_hash"); !ok || h != "" && h != accessHash(alg, want.accessToken) {
		return identity{}, errors.New("its at_hash is not that of the access token")
	}
	if at, there, ok := seconds(m, "auth_time"); there && ok {
		id.authTime = at
	}
	return id, nil
}

// checkAudience checks that the client is among the audiences, and is azp if
// there are several.
func checkAudience(m map[string]json.RawMessage, clientID string) error {
	aud, err := audienceOf(m)
	if err != nil {
		return err
	}
	if !slices.Contains(aud, clientID) {
		return fmt.Errorf("its aud does not name the client %q", clientID)
	}
	azp, ok := text(m, "azp")
	if !ok || azp == "" && len(aud) > 1 || azp != "" && azp != clientID {
		return fmt.Errorf("its azp is %q, not the client", clean(azp, 64))
	}
	return nil
}

func checkTimes(m map[string]json.RawMessage, now time.Time) error {
	exp, there, ok := seconds(m, "exp")
	switch {
	case !there || !ok:
		return errors.New("its exp is missing or malformed")
	case exp.After(now.Add(farFuture)):
		return errors.New("its exp is not in seconds")
	case !now.Before(exp.Add(clockSkew)):
		return fmt.Errorf("it expired at %s", exp.UTC().Format(time.RFC3339))
	}
	iat, there, ok := seconds(m, "iat")
	if !there || !ok {
		return errors.New("its iat is missing or malformed")
	}
	nbf, there, ok := seconds(m, "nbf")
	if there && !ok {
		return errors.New("its nbf is malformed")
	}
	if iat.After(now.Add(iatSkew)) || nbf.After(now.Add(iatSkew)) {
		return errors.New("its iat or nbf lies in the future")
	}
	return nil
}

// seconds reads a NumericDate (RFC 7519 section 2).
func seconds(m map[string]json.RawMessage, name string) (t time.Time, there, ok bool) {
	v := m[name]
	if len(v) == 0 || string(v) == "null" {
		return t, false, false
	}
	var f float64
	if json.Unmarshal(v, &f) != nil || f < 0 || f > 1<<50 {
		return t, true, false
	}
	return time.Unix(int64(f), 0), true, true
}

// accessHash returns at_hash (OpenID Connect Core 1.0 section 3.1.3.6): the left
// half of a hash of the algorithm's size. Ed25519 uses SHA-512.
func accessHash(alg jose.SignatureAlgorithm, token string) string {
	var sum []byte
	switch {
	case alg == jose.EdDSA, strings.HasSuffix(string(alg), "512"):
		h := sha512.Sum512([]byte(token))
		sum = h[:]
	case strings.HasSuffix(string(alg), "384"):
		h := sha512.Sum384([]byte(token))
		sum = h[:]
	default:
		h := sha256.Sum256([]byte(token))
		sum = h[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// peekExpiry returns the exp of an access token that is a JWT, without
// verification: it only limits how long the client itself uses the token.
func peekExpiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxIDToken {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	m, err := members(payload, "exp")
	if err != nil {
		return time.Time{}, false
	}
	t, _, ok := seconds(m, "exp")
	return t, ok
}
