package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

func keeper(t *testing.T, s flow.Store) flow.LoginKeeper {
	t.Helper()
	k, ok := s.(flow.LoginKeeper)
	if !ok {
		t.Fatalf("%T is no flow.LoginKeeper", s)
	}
	return k
}

// PendingLogin returns a login with every field set; every secret contains the word
// "canary". It expires an hour after now.
func PendingLogin(key, state string, now time.Time) flow.PendingLogin {
	now = now.UTC().Truncate(time.Second)
	return flow.PendingLogin{
		Key: key, Started: now, Revision: 7, LoggedIn: now.Add(-time.Hour),
		Login: flow.Login{
			Client: "web", URL: "https://tenant.example.com/authorize?state=canary", State: state, Verifier: "canary-verifier", Nonce: "canary-nonce",
			RedirectURL: "http://localhost:8484/callback", Audience: "https://api.example.com/", Scopes: []string{"openid"}, Expires: now.Add(time.Hour),
			DeviceCode: "canary-device", UserCode: "canary-user", VerificationURI: "https://tenant.example.com/activate", Interval: 5,
		},
	}
}

func keep(t *testing.T, s flow.Store, l flow.PendingLogin) flow.PendingLogin {
	t.Helper()
	if err := keeper(t, s).KeepLogin(t.Context(), l); err != nil {
		t.Fatalf("KeepLogin = %v", err)
	}
	return l
}

func notTaken(t *testing.T, s flow.Store, key, id string) {
	t.Helper()
	l, err := keeper(t, s).TakeLogin(t.Context(), key, id)
	if !errors.Is(err, flow.ErrNotFound) || !reflect.DeepEqual(l, flow.PendingLogin{}) {
		t.Errorf("TakeLogin(%q, %q) = %v, %v; want ErrNotFound", key, id, l, err)
	}
}

// pending returns the states of a key's pending logins.
func pending(t *testing.T, s flow.Store, key string) string {
	t.Helper()
	list, err := keeper(t, s).PendingLogins(t.Context(), key)
	if err != nil {
		t.Fatalf("PendingLogins = %v", err)
	}
	var states []string
	for _, l := range list {
		states = append(states, l.Login.State)
	}
	return strings.Join(states, " ")
}

// testLoginElsewhere begins logins with one handle and finishes them with the other.
func testLoginElsewhere(t *testing.T, o Opened) {
	first := keep(t, o.Store, PendingLogin("a", "canary-1", time.Now()))
	if zero := zeroFields(reflect.ValueOf(&first), "Login"); len(zero) > 0 {
		t.Fatalf("zero fields: %v", zero)
	}
	device := PendingLogin("a", "", time.Now())
	keep(t, o.Store, device)
	keep(t, o.Store, PendingLogin("b", "canary-2", time.Now()))
	list, err := keeper(t, o.Other).PendingLogins(t.Context(), "a")
	if err != nil || !reflect.DeepEqual(list, []flow.PendingLogin{first, device}) {
		t.Errorf("PendingLogins = %+v, %v", list, err)
	}
	notTaken(t, o.Other, "a", "none")
	notTaken(t, o.Other, "a", "canary-2") // of another client, which keeps it
	for _, w := range []struct {
		key  string
		want flow.PendingLogin
	}{{"a", first}, {"", device}} {
		id := w.want.Login.ID()
		got, err := keeper(t, o.Other).TakeLogin(t.Context(), w.key, id)
		if err != nil || !reflect.DeepEqual(got, w.want) {
			t.Errorf("TakeLogin = %+v, %v\nwant %+v", got, err, w.want)
		}
		notTaken(t, o.Store, w.key, id)
		notTaken(t, o.Other, "", id)
	}
	if got := pending(t, o.Store, "b"); got != "canary-2" {
		t.Errorf("pending of the other client: %q", got)
	}
	if got := pending(t, o.Store, "none"); got != "" {
		t.Errorf("pending of nothing: %q", got)
	}
}

// testLoginKeptAgain replaces a login under the same id.
func testLoginKeptAgain(t *testing.T, o Opened) {
	l := keep(t, o.Store, PendingLogin("a", "state", time.Now()))
	l.Revision++
	keep(t, o.Other, l)
	if got := pending(t, o.Store, "a"); got != "state" {
		t.Errorf("pending: %q", got)
	}
	if got, err := keeper(t, o.Store).TakeLogin(t.Context(), "a", "state"); err != nil || got.Revision != l.Revision {
		t.Errorf("TakeLogin = %+v, %v", got, err)
	}
	notTaken(t, o.Store, "a", "state")
}

func testLoginTakenOnce(t *testing.T, o Opened) {
	const callers, logins = 8, 10
	for i := range logins {
		state := fmt.Sprint("state-", i)
		keep(t, o.Store, PendingLogin("a", state, time.Now()))
		var mu sync.Mutex
		var taken int
		var wg sync.WaitGroup
		for j := range callers {
			k := keeper(t, []flow.Store{o.Store, o.Other}[j%2])
			wg.Go(func() {
				_, err := k.TakeLogin(t.Context(), []string{"", "a"}[j/2%2], state)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
				} else if !errors.Is(err, flow.ErrNotFound) {
					t.Errorf("TakeLogin = %v", err)
				}
			})
		}
		wg.Wait()
		if taken != 1 {
			t.Errorf("%s was taken %d times", state, taken)
		}
	}
}

func testLoginExpires(t *testing.T, o Opened) {
	now := time.Now()
	early := PendingLogin("a", "early", now)
	early.Login.Expires = now.Add(10 * time.Minute)
	keep(t, o.Store, early)
	keep(t, o.Store, PendingLogin("a", "late", now))
	o.Advance(9 * time.Minute)
	if got := pending(t, o.Other, "a"); got != "early late" {
		t.Errorf("pending: %q", got)
	}
	o.Advance(2 * time.Minute)
	if got := pending(t, o.Other, "a"); got != "late" {
		t.Errorf("pending after the first has expired: %q", got)
	}
	notTaken(t, o.Store, "a", "early")
	if _, err := keeper(t, o.Store).TakeLogin(t.Context(), "a", "late"); err != nil {
		t.Errorf("TakeLogin = %v", err)
	}
}

func testLoginsAreBounded(t *testing.T, o Opened) {
	keep(t, o.Store, PendingLogin("b", "other", time.Now()))
	var want []string
	for i := range flow.MaxPendingLogins + 3 {
		state := fmt.Sprint("state-", i)
		keep(t, []flow.Store{o.Store, o.Other}[i%2], PendingLogin("a", state, time.Now()))
		if want = append(want, state); i >= flow.MaxPendingLogins {
			want = want[1:]
		}
	}
	if got := pending(t, o.Store, "a"); got != strings.Join(want, " ") {
		t.Errorf("pending: %q, want the newest %d", got, flow.MaxPendingLogins)
	}
	notTaken(t, o.Store, "a", "state-0")
	if got := pending(t, o.Store, "b"); got != "other" {
		t.Errorf("pending of the other client: %q", got)
	}
}

func testLoginsAreDropped(t *testing.T, o Opened) {
	keep(t, o.Store, PendingLogin("a", "one", time.Now()))
	keep(t, o.Store, PendingLogin("a", "two", time.Now()))
	keep(t, o.Store, PendingLogin("b", "other", time.Now()))
	for range 2 {
		if err := keeper(t, o.Other).DropLogins(t.Context(), "a"); err != nil {
			t.Fatalf("DropLogins = %v", err)
		}
	}
	if a, b := pending(t, o.Store, "a"), pending(t, o.Store, "b"); a != "" || b != "other" {
		t.Errorf("pending: %q and %q", a, b)
	}
	notTaken(t, o.Store, "a", "one")
}

// testSealedBytes searches what the store has written for secrets.
func testSealedBytes(t *testing.T, o Opened) {
	if o.Raw == nil {
		return
	}
	save(t, o.Store, lock(t, o.Store, "clear-key"), Grant())
	keep(t, o.Store, PendingLogin("clear-key", "canary-state", time.Now()))
	raw := o.Raw(t)
	for _, secret := range []string{"canary", "auth0|1", "Y2FuYXJ5"} { // the last is base64 of the first
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%q is in the clear", secret)
		}
	}
	if !bytes.Contains(raw, []byte("clear-key")) {
		t.Error("the key is not found, so the search proves nothing")
	}
}

// testSwappedRows exchanges sealed values: neither opens in the other's row.
func testSwappedRows(t *testing.T, o Opened) {
	if o.Swap == nil {
		return
	}
	for _, key := range []string{"a", "b"} {
		save(t, o.Store, lock(t, o.Store, key), Grant())
		keep(t, o.Store, PendingLogin("a", key, time.Now()))
	}
	o.Swap(t)
	for _, key := range []string{"a", "b"} {
		_, err := o.Other.Load(t.Context(), key)
		want(t, "Load of a swapped row", err, flow.ErrCorrupt)
		_, err = keeper(t, o.Other).TakeLogin(t.Context(), "a", key)
		want(t, "TakeLogin of a swapped row", err, flow.ErrCorrupt)
	}
	if got := pending(t, o.Store, "a"); got != "" {
		t.Errorf("pending: %q", got)
	}
}

// testRolledBack puts an older copy of the content back: the store in use notices it,
// and one that is opened later marks the grants.
func testRolledBack(t *testing.T, o Opened) {
	if o.Snapshot == nil {
		return
	}
	l, g := lock(t, o.Store, "a"), Grant()
	save(t, o.Store, l, g)
	restore := o.Snapshot(t)
	for range 3 {
		save(t, o.Store, l, g)
	}
	again := restore(t)
	_, err := o.Store.Load(t.Context(), "a")
	want(t, "Load of a restored store", err, flow.ErrReplaced)
	if err := o.Store.Save(t.Context(), l, g); !errors.Is(err, flow.ErrReplaced) && !errors.Is(err, flow.ErrConflict) {
		t.Errorf("Save to a restored store = %v", err)
	}
	if g := load(t, again, "a"); !g.Restored {
		t.Error("the grant of the older copy is not marked as restored")
	}
}
