package storetest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/pkg/flow"
)

func testLoadWithoutGrant(t *testing.T, o Opened) {
	_, err := o.Store.Load(t.Context(), "none")
	want(t, "Load", err, flow.ErrNotFound)
	lock(t, o.Store, "none") // a lease is not a grant
	_, err = o.Store.Load(t.Context(), "none")
	want(t, "Load under a lease", err, flow.ErrNotFound)
}

func testRoundTrip(t *testing.T, o Opened) {
	g := Grant()
	if zero := zeroFields(reflect.ValueOf(g), "Grant"); !slices.Equal(zero, []string{"Grant.Revision", "Grant.Restored"}) {
		t.Fatalf("Grant() leaves zero: %v; want the revision and restored alone", zero)
	}
	save(t, o.Store, lock(t, o.Store, "a"), g)
	for _, s := range []flow.Store{o.Store, o.Other} {
		if got := load(t, s, "a"); !reflect.DeepEqual(got, g) {
			t.Errorf("Load = %s\nwant   %s", text(got), text(g))
		}
	}
}

func testKeysAreApart(t *testing.T, o Opened) {
	keys := []string{"", "a", "A", "a ", "a/b", "../a", "é", "a\x00b", "'; DROP TABLE grants; --", strings.Repeat("k", 4096)}
	for i, key := range keys {
		g := Grant()
		g.Generation = int64(i + 1)
		save(t, o.Store, lock(t, o.Store, key), g)
	}
	for i, key := range keys {
		if got := load(t, o.Other, key).Generation; got != int64(i+1) {
			t.Errorf("Load(%.20q) has generation %d, want %d", key, got, i+1)
		}
	}
}

func testCallerOwnsResult(t *testing.T, o Opened) {
	g := Grant()
	save(t, o.Store, lock(t, o.Store, "a"), g)
	first := load(t, o.Store, "a")
	for _, mine := range []*flow.Grant{g, first} {
		mine.RefreshToken, mine.Scopes[0], mine.Intent.Replays, mine.Tokens[0] = "changed", "changed", 99, &flow.Token{}
	}
	got, want := load(t, o.Store, "a"), Grant()
	want.Revision = got.Revision
	if !reflect.DeepEqual(got, want) {
		t.Errorf("changing a saved or loaded grant changed the stored one: %s", text(got))
	}
}

func testSaveSetsRevision(t *testing.T, o Opened) {
	g, l := Grant(), lock(t, o.Store, "a")
	seen := map[int64]bool{0: true}
	for range 5 {
		save(t, o.Store, l, g)
		if seen[g.Revision] {
			t.Fatalf("revision %d twice", g.Revision)
		}
		seen[g.Revision] = true
		if got := load(t, o.Other, "a").Revision; got != g.Revision {
			t.Fatalf("Load has revision %d, Save said %d", got, g.Revision)
		}
	}
}

func testSaveOfOldRevision(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	g.Revision = 1
	unchanged(t, o.Store, l, g) // nothing is stored, so there is no revision 1

	first := Grant()
	save(t, o.Store, l, first)
	unchanged(t, o.Store, l, Grant()) // revision 0, but there is a grant

	second := load(t, o.Other, "a")
	second.Generation++
	save(t, o.Store, l, second)
	first.Generation += 2
	unchanged(t, o.Store, l, first)
}

func testSaveOfDeleted(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	old := Grant()
	save(t, o.Store, l, old)
	if err := o.Store.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	unchanged(t, o.Store, l, old) // a refresh in flight does not undo a logout
	save(t, o.Store, l, Grant())  // a login does
}

// testRevisionsDoNotReturn saves a change of a deleted grant after a later login.
func testRevisionsDoNotReturn(t *testing.T, o Opened) {
	if o.Volatile {
		t.Skip("volatile")
	}
	l := lock(t, o.Store, "a")
	old := Grant()
	save(t, o.Store, l, old)
	if err := o.Store.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	save(t, o.Store, l, Grant())
	unchanged(t, o.Store, l, old)
}

// testRestoredIsKept checks that Save stores the flag as given, so that the flow
// can clear it.
func testRestoredIsKept(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	for _, restored := range []bool{true, true, false} {
		g.Restored = restored
		save(t, o.Store, l, g)
		if got := load(t, o.Other, "a").Restored; got != restored {
			t.Errorf("saved with Restored %v, loaded with %v", restored, got)
		}
	}
}

// testLogoutIsAState checks that a logout stays stored, and that changes of the
// previous grant are rejected.
func testLogoutIsAState(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	save(t, o.Store, l, g)
	refreshed := load(t, o.Other, "a")
	refreshed.Generation++

	save(t, o.Store, l, &flow.Grant{Revision: g.Revision, State: flow.GrantLoggedOut})
	got := load(t, o.Other, "a")
	if got.State != flow.GrantLoggedOut || got.RefreshToken != "" {
		t.Errorf("Load = %s, want the logout without a token", text(got))
	}
	unchanged(t, o.Store, l, refreshed)
	login := Grant()
	login.Revision = got.Revision
	save(t, o.Store, l, login)
}

func testDelete(t *testing.T, o Opened) {
	if err := o.Store.Delete(t.Context(), "none"); err != nil {
		t.Fatalf("Delete of nothing = %v", err)
	}
	save(t, o.Store, lock(t, o.Store, "a"), Grant())
	save(t, o.Store, lock(t, o.Store, "b"), Grant())
	if err := o.Other.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	_, err := o.Store.Load(t.Context(), "a")
	want(t, "Load of a deleted grant", err, flow.ErrNotFound)
	load(t, o.Store, "b")
}
