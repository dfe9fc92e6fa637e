package mock

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"example.com/tokend/pkg/mock/tenant"
)

// Limits and lifetimes; docs/mock.md has the sources.
const (
	eligibleRole = "agent" // required by /_mock/resource/

	maxKept    = 10000  // entries of one kind of state, see room
	maxSignups = 100000 // users that sign-up adds

	codeLifetime    = 10 * time.Minute // undocumented at Auth0; RFC 6749 section 4.1.2 recommends at most ten minutes
	loginLifetime   = time.Hour
	sessionLifetime = 168 * time.Hour
	sessionIdle     = 72 * time.Hour
)

// state is the whole state of a tenant, guarded by Tenant.mu: its configuration and
// what logins and token requests added.
type state struct {
	description
	runtime
}

// runtime is the state that logins and token requests create.
type runtime struct {
	room     room
	login    LoginMode
	sessions map[string]*session     // by cookie
	logins   map[string]*transaction // by the state of /u/login
	consents map[string]time.Time    // when it was given, by consentKey
	codes    map[string]*code        // by hash
	families map[string]*family      // by id
	refresh  map[string]*refreshToken
	owned    map[string][]*family // by ownerKey, oldest first
	devices  map[string]*device   // by hash of the device_code
	attempts map[string]failures  // by attemptKey
	pushed   map[string]*pushed   // by request_uri
	revoked  map[string]time.Time // by hash of an access token: when it was revoked
	jtis     map[string]time.Time // used client assertions, until they expire
	issuers  map[string]bool      // issuers that have minted tokens; see Tenant.At
	proofs   map[string]time.Time // used DPoP proofs, until they are too old
	nonces   nonces
	mails    []Mail
	resets   map[string]passwordReset // by hash of the ticket
	otps     map[string]*otp          // by otpKey
	phones   map[string]string        // user_id of a passwordless user, by otpKey
	mfas     map[string]*mfaTransaction
	signups  int // users added by sign-up

	noncePolicy noncePolicy

	invitations map[string]*invitation // by hash of the ticket
	issued      []issuedToken          // the last ones, oldest first
	profiles    map[string]profile     // claims of Actions for /userinfo, by hash of an access token
}

func newState(e *tenant.File, login LoginMode) (*state, error) {
	d, err := newDescription(e)
	if err != nil {
		return nil, err
	}
	return &state{description: *d, runtime: runtime{
		room:  room{most: maxKept},
		login: login, sessions: map[string]*session{}, logins: map[string]*transaction{}, consents: map[string]time.Time{},
		codes: map[string]*code{}, families: map[string]*family{}, refresh: map[string]*refreshToken{},
		owned: map[string][]*family{}, devices: map[string]*device{}, pushed: map[string]*pushed{},
		revoked: map[string]time.Time{}, jtis: map[string]time.Time{}, attempts: map[string]failures{}, issuers: map[string]bool{},
		proofs: map[string]time.Time{}, noncePolicy: noncePublic, resets: map[string]passwordReset{},
		otps: map[string]*otp{}, phones: map[string]string{}, mfas: map[string]*mfaTransaction{},
		invitations: map[string]*invitation{}, profiles: map[string]profile{},
	}}, nil
}

// randomString returns n characters of base64url.
func (t *Tenant) randomString(n int) string {
	b := make([]byte, (n*6+7)/8)
	if _, err := t.random.Read(b); err != nil {
		panic(fmt.Sprintf("mock: no randomness: %v", err)) // crypto/rand never fails; a test's reader ran dry
	}
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

// hash returns the key under which a code or token is stored, so that the state
// contains no secrets.
func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
