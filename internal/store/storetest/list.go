package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

func lister(t *testing.T, s flow.Store) flow.Lister {
	t.Helper()
	l, ok := s.(flow.Lister)
	if !ok {
		t.Fatalf("%T does not implement flow.Lister", s)
	}
	return l
}

func list(t *testing.T, s flow.Store) map[string]flow.StoredGrant {
	t.Helper()
	found := map[string]flow.StoredGrant{}
	for g, err := range lister(t, s).List(t.Context()) {
		if err != nil {
			t.Fatalf("List = %v", err)
		}
		if _, twice := found[g.Key]; twice {
			t.Errorf("%q is listed twice", g.Key)
		}
		found[g.Key] = g
	}
	return found
}

// testList lists more grants than a store reads at once, among them a logout.
func testList(t *testing.T, o Opened) {
	if found := list(t, o.Store); len(found) != 0 {
		t.Errorf("an empty store lists %v", found)
	}
	const many = 300
	saved := map[string]*flow.Grant{}
	for i := range many {
		key := fmt.Sprint("key-", i)
		if i == 0 {
			key = ""
		}
		g := &flow.Grant{State: flow.GrantActive, Generation: int64(i)}
		if i%7 == 0 {
			g.State = flow.GrantLoggedOut
		}
		save(t, o.Store, lock(t, o.Store, key), g)
		saved[key] = g
	}
	if err := o.Store.Delete(t.Context(), "key-5"); err != nil {
		t.Fatal(err)
	}
	delete(saved, "key-5")
	lock(t, o.Store, "only a lease")
	found := list(t, o.Other)
	if len(found) != len(saved) {
		t.Errorf("%d are listed, want %d", len(found), len(saved))
	}
	for key, g := range saved {
		got := found[key]
		if got.Revision != g.Revision || got.Generation != g.Generation || got.State != g.State {
			t.Errorf("%q: %+v, want revision %d, generation %d, %s", key, got, g.Revision, g.Generation, g.State)
		}
		if age := time.Since(got.Saved); age < -time.Minute || age > time.Hour {
			t.Errorf("%q was saved %v ago", key, age)
		}
	}
}

// testListWhileUsed uses the store during an iteration, and ends one early.
func testListWhileUsed(t *testing.T, o Opened) {
	for _, key := range []string{"a", "b", "c"} {
		save(t, o.Store, lock(t, o.Store, key), Grant())
	}
	n := 0
	for g, err := range lister(t, o.Store).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		load(t, o.Store, g.Key)
		if err := o.Store.Delete(t.Context(), g.Key); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Error("nothing was listed")
	}
	for _, err := range lister(t, o.Store).List(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // a caller may end the list
	}
}

func testListOfEndedContext(t *testing.T, o Opened) {
	save(t, o.Store, lock(t, o.Store, "a"), Grant())
	ctx, cancel := contextOf(t)
	cancel()
	var last error
	n := 0
	for _, err := range lister(t, o.Store).List(ctx) {
		last, n = err, n+1
	}
	if n != 1 || last == nil || errors.Is(last, flow.ErrNotFound) {
		t.Errorf("List = %v after %d elements, want an error alone", last, n)
	}
}
