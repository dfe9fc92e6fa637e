// Package storetest tests that a [flow.Store] keeps the promises of the
// interface. The tests of every store call [Run].
package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

// Opened is a store under test, empty and not shared with another test.
type Opened struct {
	Store   flow.Store
	Other   flow.Store            // a second handle on the same content, or Store itself
	Advance func(d time.Duration) // advances the store's clocks

	// SetClock sets the clock that leases are measured by, forward or back by d,
	// without time passing; nil if it cannot be set.
	SetClock func(d time.Duration)

	// Volatile is set for a store that only its own process uses, while it is
	// alive: a revision may be reused after Delete.
	Volatile bool

	// Of a store that writes to a medium; each may be nil.
	Raw      func(t testing.TB) []byte                                      // everything that it has written
	Swap     func(t testing.TB)                                             // exchanges the sealed values of the two grants, and of the two pending logins
	Snapshot func(t testing.TB) (restore func(t testing.TB) (s flow.Store)) // copies the content; restore puts it back under the open store, and opens it once more
}

// ttl of the leases, much longer than a test runs.
const ttl = 10 * time.Minute

// Run runs the tests. open returns a new store and registers its Close with t.
func Run(t *testing.T, open func(t testing.TB) Opened) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opened)
	}{
		{"LoadWithoutGrant", testLoadWithoutGrant},
		{"RoundTrip", testRoundTrip},
		{"KeysAreApart", testKeysAreApart},
		{"CallerOwnsResult", testCallerOwnsResult},
		{"SaveSetsRevision", testSaveSetsRevision},
		{"SaveOfOldRevision", testSaveOfOldRevision},
		{"SaveOfDeleted", testSaveOfDeleted},
		{"RestoredIsKept", testRestoredIsKept},
		{"LogoutIsAState", testLogoutIsAState},
		{"RevisionsDoNotReturn", testRevisionsDoNotReturn},
		{"Delete", testDelete},
		{"LockExcludes", testLockExcludes},
		{"LockWithoutTTL", testLockWithoutTTL},
		{"LeaseOfAnotherStore", testLeaseOfAnotherStore},
		{"ReleasedLease", testReleasedLease},
		{"LeaseRunsOut", testLeaseRunsOut},
		{"LateSave", testLateSave},
		{"LateRenew", testLateRenew},
		{"LostLease", testLostLease},
		{"Renew", testRenew},
		{"ClockIsSet", testClockIsSet},
		{"RenewAfterClockIsSet", testRenewAfterClockIsSet},
		{"NoLostUpdate", testNoLostUpdate},
		{"OneSaveWinsPerRevision", testOneSaveWinsPerRevision},
		{"Linearizable", testLinearizable},
		{"List", testList},
		{"ListWhileUsed", testListWhileUsed},
		{"ListOfEndedContext", testListOfEndedContext},
		{"LoginElsewhere", testLoginElsewhere},
		{"LoginKeptAgain", testLoginKeptAgain},
		{"LoginTakenOnce", testLoginTakenOnce},
		{"LoginExpires", testLoginExpires},
		{"LoginsAreBounded", testLoginsAreBounded},
		{"LoginsAreDropped", testLoginsAreDropped},
		{"SealedBytes", testSealedBytes},
		{"SwappedRows", testSwappedRows},
		{"RolledBack", testRolledBack},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// full is the stored form of a grant with every field set. Every secret contains
// the word "canary".
const full = `{
	"issuer": "https://tenant.example.com/", "client_id": "client", "sub": "auth0|1",
	"generation": 7, "state": "uncertain",
	"refresh_token": "canary-refresh <&>\u2028é\"", "id_token": "canary-id-token",
	"scopes": ["openid", "offline_access"], "rotation": "on", "moved": true, "seed": "c2VlZA", "refused": "cmVmdXNlZA",
	"logged_in": "2026-03-01T12:00:00.987654321Z", "exchanged": "2026-03-01T12:01:00Z", "auth_time": "2026-03-01T11:59:00Z",
	"intent": {"time": "2026-03-01T12:02:00Z", "generation": 7, "hash": "aGFzaA", "replays": 1},
	"failure": {"time": "2026-03-01T12:03:00Z", "class": "idp_timeout", "code": "code", "description": "why", "hint": "what helps", "remedy": "setting"},
	"held": "2026-03-01T12:04:00Z", "rejected": {"probes": 2, "next": "2026-03-01T12:05:00Z", "credential": "Y3JlZA"},
	"reported": {"state": "degraded", "exchanged": "2026-03-01T12:01:00Z", "ends": "2026-06-01T12:00:00Z"},
	"tokens": [{
		"access_token": "canary-access-1", "token_type": "Bearer", "scope": "openid read:calls",
		"audience": "https://api.example.com/", "id_token": "canary-id-1",
		"obtained": "2026-03-01T12:00:00Z", "expiry": "2026-03-01T13:00:00Z", "generation": 7,
		"requested": ["openid"], "unverified": true
	}, {
		"access_token": "canary-access-2", "token_type": "Bearer", "scope": "openid",
		"audience": "other", "id_token": "canary-id-2",
		"obtained": "2026-03-01T12:00:00Z", "expiry": "2026-03-01T13:00:00Z", "generation": 6,
		"requested": ["openid", "profile"], "unverified": true
	}]
}`

// Grant returns a grant with every field set except revision and Restored. Every
// secret contains the word "canary".
func Grant() *flow.Grant {
	g := &flow.Grant{}
	if err := g.UnmarshalJSON([]byte(full)); err != nil {
		panic("storetest: " + err.Error()) // full is a constant
	}
	return g
}

// zeroFields returns the names of the zero fields of v, and of the structs that
// it points to.
func zeroFields(v reflect.Value, path string) []string {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return zeroFields(v.Elem(), path)
		}
	case reflect.Slice:
		var zero []string
		for i := range v.Len() {
			zero = append(zero, zeroFields(v.Index(i), path+"[]")...)
		}
		if v.Len() > 0 {
			return zero
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			break
		}
		var zero []string
		for i := range v.NumField() {
			zero = append(zero, zeroFields(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return zero
	}
	if v.IsZero() {
		return []string{path}
	}
	return nil
}

func lock(t *testing.T, s flow.Store, key string) flow.Lease {
	t.Helper()
	l, err := s.Lock(t.Context(), key, ttl)
	if err != nil {
		t.Fatalf("Lock(%q) = %v", key, err)
	}
	if l.Key() != key {
		t.Fatalf("Key() = %q, want %q", l.Key(), key)
	}
	return l
}

func save(t *testing.T, s flow.Store, l flow.Lease, g *flow.Grant) {
	t.Helper()
	if err := s.Save(t.Context(), l, g); err != nil {
		t.Fatalf("Save(%q) = %v", l.Key(), err)
	}
}

func load(t *testing.T, s flow.Store, key string) *flow.Grant {
	t.Helper()
	g, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load(%q) = %v", key, err)
	}
	return g
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s = %v, want %v", what, err, target)
	}
}

// unchanged checks that Save rejects g and changes nothing.
func unchanged(t *testing.T, s flow.Store, l flow.Lease, g *flow.Grant) {
	t.Helper()
	before, beforeErr := s.Load(t.Context(), l.Key())
	revision := g.Revision
	want(t, "Save", s.Save(t.Context(), l, g), flow.ErrConflict)
	if g.Revision != revision {
		t.Errorf("a refused Save set the revision to %d", g.Revision)
	}
	after, afterErr := s.Load(t.Context(), l.Key())
	if !reflect.DeepEqual(before, after) || (beforeErr == nil) != (afterErr == nil) {
		t.Errorf("a refused Save changed the grant from %s (%v) to %s (%v)", text(before), beforeErr, text(after), afterErr)
	}
}

func text(g *flow.Grant) string {
	if g == nil {
		return "none"
	}
	b, err := g.MarshalJSON() // a test's grant has no real secrets
	return fmt.Sprintf("revision %d: %s (%v)", g.Revision, b, err)
}
