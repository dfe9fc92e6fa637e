package flow

import (
	"context"
	"crypto/sha256"
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
	clockSkew  = 30 * time.Second // granted to exp
	iatSkew    = 5 * time.Minute  // granted to iat and nbf
	farFuture  = 50 * 365 * 24 * time.Hour
)

// algorithms are the only ones accepted. "none" and HS256 are not among them,
// so that a public key is never taken for a shared secret (RFC 8725 section 3.1).
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
}

// expected is what an ID token is held against.
type expected struct {
	nonce       string // "": not checked, in a refresh (section 12.2)
	subject     string // "": any
	accessToken string // for at_hash
}

// identity is what is kept of an ID token.
type identity struct {
	subject  string
	authTime time.Time
}

// verify checks an ID token by OpenID Connect Core 1.0 sections 3.1.3.7 and 12.2.
func (p *provider) verify(ctx context.Context, op, raw string, want expected) (identity, error) {
	reject := func(err error) (identity, error) {
		return identity{}, &Error{Op: op, Class: ClassBadResponse, Description: "the ID token is refused: " + err.Error(), Err: err}
	}
	if len(raw) > maxIDToken {
		return reject(fmt.Errorf("it is larger than %d KiB", maxIDToken>>10))
	}
	payload, err := p.verifySignature(ctx, raw)
	var e *Error
	if errors.As(err, &e) { // the keys could not be had, which is not the token's fault
		return identity{}, err
	}
	if err != nil {
		return reject(err)
	}
	id, err := p.checkClaims(payload, want)
	if err != nil {
		return reject(err)
	}
	return id, nil
}

// verifySignature returns the payload of a token that one of the tenant's keys
// has signed. Keys in the token's own header are never looked at.
func (p *provider) verifySignature(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, algorithms())
	if err != nil {
		return nil, errors.New("it is no JWT signed with RS256, PS256 or ES256")
	}
	h := jws.Signatures[0].Header
	alg := jose.SignatureAlgorithm(h.Algorithm)
	try := func(keys []jose.JSONWebKey) []byte {
		for _, k := range keys {
			if payload, err := jws.Verify(k.Key); err == nil {
				return payload
			}
		}
		return nil
	}
	fit := matching(p.cachedKeys(), h.KeyID, alg)
	if payload := try(fit); payload != nil {
		return payload, nil
	}
	if h.KeyID == "" || len(fit) == 0 { // a key of today that was not known yesterday
		keys, err := p.refetchKeys(ctx)
		if err != nil {
			return nil, err
		}
		fit = matching(keys, h.KeyID, alg)
		if payload := try(fit); payload != nil {
			return payload, nil
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("no key of the tenant has its key id %q and algorithm %s", clean(h.KeyID, 64), alg)
	}
	return nil, errors.New("its signature is wrong")
}

var claimNames = []string{"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "auth_time"}

func (p *provider) checkClaims(payload []byte, want expected) (identity, error) {
	m, err := members(payload, claimNames...)
	if err != nil {
		return identity{}, fmt.Errorf("its payload %w", err)
	}
	if iss, ok := text(m, "iss"); !ok || iss != p.cfg.Issuer {
		return identity{}, fmt.Errorf("its iss is %q, not %q", clean(iss, 256), p.cfg.Issuer)
	}
	if err := checkAudience(m, p.cfg.ClientID); err != nil {
		return identity{}, err
	}
	now := p.cfg.Now()
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
	if h, ok := text(m, "at_hash"); !ok || h != "" && h != accessHash(want.accessToken) {
		return identity{}, errors.New("its at_hash is not that of the access token")
	}
	if at, there, ok := seconds(m, "auth_time"); there && ok {
		id.authTime = at
	}
	return id, nil
}

// checkAudience wants the client among the audiences, and as azp when there
// are several.
func checkAudience(m map[string]json.RawMessage, clientID string) error {
	var aud []string
	if one, ok := text(m, "aud"); ok && one != "" {
		aud = []string{one}
	} else if json.Unmarshal(m["aud"], &aud) != nil {
		return errors.New("its aud is missing or malformed")
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

// accessHash is at_hash for the algorithms here, which all hash with SHA-256.
func accessHash(token string) string {
	h := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(h[:sha256.Size/2])
}

// peekExpiry returns the exp of an access token that is a JWT, unverified: it
// bounds how long the client itself believes in the token, no more.
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
