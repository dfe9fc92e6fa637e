package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// rotating is a store whose keyset is in a file.
type rotating struct {
	*store.Store
	dir, url, keyset string
}

func newRotating(t *testing.T) rotating {
	t.Helper()
	dir := t.TempDir()
	r := rotating{dir: dir, url: "sqlite:" + dir + "/tokend.db", keyset: dir + "/keyset.json"}
	r.Store = r.process(t)
	return r
}

// process opens the store once more, with a keyset of its own, as another process does.
func (r rotating) process(t *testing.T) *store.Store {
	t.Helper()
	keys, err := store.LoadOrCreateKeyset(t.Context(), r.keyset, r.url, store.Options{})
	must(t, err)
	return openAt(t, r.url, store.Options{Keys: keys, MarkFile: r.keyset + ".mark"})
}

// fill saves and spills grants, and keeps logins.
func (r rotating) fill(t *testing.T) {
	t.Helper()
	for _, key := range []string{"a", "b"} {
		l := lock(t, r.Store, key)
		g := storetest.Grant()
		must(t, r.Save(t.Context(), l, g))
		if key == "b" {
			g.Generation++
			must(t, r.Spill(t.Context(), key, g))
		}
		must(t, l.Release(t.Context()))
		must(t, r.KeepLogin(t.Context(), storetest.PendingLogin(key, "state-"+key, time.Now())))
	}
	b, err := os.ReadFile(r.spillFiles(t)[0])
	must(t, err)
	must(t, os.WriteFile(r.spillFiles(t)[0]+".lost", b, 0o600))
}

func (r rotating) spillFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(r.dir + "/tokend.db.spill/*")
	must(t, err)
	return names
}

// complete checks that a process reads everything that fill wrote.
func complete(t *testing.T, s *store.Store) {
	t.Helper()
	for key, generation := range map[string]int64{"a": 7, "b": 8} {
		if g, err := s.Load(t.Context(), key); err != nil || g.Generation != generation || g.RefreshToken == "" {
			t.Errorf("Load(%q) = %v, %v", key, g, err)
		}
		if list, err := s.PendingLogins(t.Context(), key); err != nil || len(list) != 1 || list[0].Login.State != "state-"+key {
			t.Errorf("PendingLogins(%q) = %v, %v", key, list, err)
		}
	}
}

// keysOf returns the keys of the keyset file.
func (r rotating) keysOf(t *testing.T) (ids []uint32, primary uint32) {
	t.Helper()
	b, err := os.ReadFile(r.keyset)
	must(t, err)
	keys, err := seal.Parse(string(b))
	must(t, err)
	for _, k := range keys.Keys() {
		ids = append(ids, k.ID)
	}
	return ids, keys.Primary()
}

// onlyKey checks that nothing has another key than that of the file.
func (r rotating) onlyKey(t *testing.T, s *store.Store) {
	t.Helper()
	ids, primary := r.keysOf(t)
	uses, err := s.KeyUses(t.Context())
	must(t, err)
	if len(ids) != 1 || len(uses) != 1 || uses[0].ID != primary || !uses[0].Seals || !uses[0].Known {
		t.Errorf("keys in the file %v, in use %+v", ids, uses)
	}
}

func TestRotateKeys(t *testing.T) {
	r := newRotating(t)
	r.fill(t)
	_, old := r.keysOf(t)
	former, err := os.ReadFile(r.keyset)
	must(t, err)
	idle, other := r.process(t), r.process(t)
	complete(t, idle)
	for round := range 2 {
		result, err := r.RotateKeys(t.Context(), r.keyset, false)
		must(t, err)
		if result.Resealed != 6 || result.Unreadable != 0 || result.Resumed || len(result.Kept) != 0 || len(result.Retired) != 1 || result.Retired[0] != old {
			t.Errorf("round %d: %+v, want six values sealed again, and key %d retired", round, result, old)
		}
		if _, now := r.keysOf(t); now != result.Key || now == old {
			t.Errorf("the key in the file is %d, was %d", now, old)
		}
		r.onlyKey(t, r.Store)
		complete(t, other)
		old = result.Key
	}
	// A process that did nothing during two rotations seals with the newest key.
	must(t, idle.KeepLogin(t.Context(), storetest.PendingLogin("c", "state-c", time.Now())))
	g, err := idle.Load(t.Context(), "a")
	must(t, err)
	must(t, idle.Save(t.Context(), lock(t, idle, "a"), g))
	r.onlyKey(t, idle)
	complete(t, idle)
	complete(t, r.process(t))

	keys, err := seal.Parse(string(former))
	must(t, err)
	if _, err := store.Open(t.Context(), r.url, store.Options{Keys: keys}); err == nil || !strings.Contains(err.Error(), "sealed with another keyset") {
		t.Errorf("Open with the former keyset = %v", err)
	}
}

// TestRotateKeys_Interrupted begins after each step, as after a crash: the next
// rotation finishes it and makes no other key.
func TestRotateKeys_Interrupted(t *testing.T) {
	add := func(t *testing.T, r rotating) {
		keys, err := store.LoadOrCreateKeyset(t.Context(), r.keyset, r.url, store.Options{})
		must(t, err)
		more, err := keys.Added()
		must(t, err)
		f, err := os.Create(r.keyset)
		must(t, err)
		_, err = more.WriteTo(f)
		must(t, errors.Join(err, f.Close()))
	}
	use := func(t *testing.T, r rotating) {
		add(t, r)
		_, id := r.keysOf(t)
		p := r.process(t)
		must(t, p.UseKey(t.Context(), id))
		must(t, p.Close())
	}
	for name, tc := range map[string]struct {
		before func(*testing.T, rotating)
		want   int // values to seal again
	}{
		"key is in the file":        {add, 6},
		"store uses the key":        {use, 6},
		"database was sealed again": {func(t *testing.T, r rotating) { use(t, r); reseal(t, r.process(t)) }, 2},
		"half of it was":            {func(t *testing.T, r rotating) { use(t, r); saveAgain(t, r.process(t)) }, 5},
		"everything was, not retired": {func(t *testing.T, r rotating) {
			use(t, r)
			reseal(t, r.process(t))
			b, err := os.ReadFile(r.keyset)
			must(t, err)
			_, err = r.RotateKeys(t.Context(), r.keyset, false)
			must(t, err)
			must(t, os.WriteFile(r.keyset, b, 0o600))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRotating(t)
			r.fill(t)
			idle := r.process(t)
			tc.before(t, r)
			_, made := r.keysOf(t)
			complete(t, r.process(t)) // a process that starts then
			result, err := r.process(t).RotateKeys(t.Context(), r.keyset, false)
			must(t, err)
			if !result.Resumed || result.Key != made || result.Resealed != tc.want || len(result.Retired) != 1 {
				t.Errorf("%+v, want the interrupted rotation to key %d finished", result, made)
			}
			r.onlyKey(t, r.Store)
			complete(t, idle)
		})
	}
}

func reseal(t *testing.T, s *store.Store) {
	t.Helper()
	_, _, err := s.Reseal(t.Context())
	must(t, err)
}

// saveAgain saves the grant "a" unchanged.
func saveAgain(t *testing.T, s *store.Store) {
	t.Helper()
	g, err := s.Load(t.Context(), "a")
	must(t, err)
	l := lock(t, s, "a")
	must(t, s.Save(t.Context(), l, g))
	must(t, l.Release(t.Context()))
}

// TestRotateKeys_WhileProcessesServe: two processes refresh, spill and keep logins
// during rotations; nothing is lost, and nothing has a former key.
func TestRotateKeys_WhileProcessesServe(t *testing.T) {
	r := newRotating(t)
	r.fill(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	counts := make([]int64, 2)
	for i := range counts {
		s := r.process(t)
		key := []string{"one", "two"}[i]
		wg.Go(func() {
			for ctx.Err() == nil {
				storetest.Increment(t, s, key)
				counts[i]++
				if err := s.KeepLogin(t.Context(), storetest.PendingLogin(key, "state-of-"+key, time.Now())); err != nil {
					t.Error(err)
				}
				if l, err := s.TakeLogin(t.Context(), key, "state-of-"+key); err != nil || l.Key != key {
					t.Errorf("TakeLogin = %v, %v", l, err)
				}
				if err := s.Spill(t.Context(), key+" spilled", &flow.Grant{State: flow.GrantActive, Generation: counts[i]}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		if result, err := r.RotateKeys(t.Context(), r.keyset, false); err != nil || result.Unreadable != 0 {
			t.Errorf("%+v, %v", result, err)
		}
	}
	cancel()
	wg.Wait()
	result, err := r.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if len(result.Kept) != 0 || result.Unreadable != 0 {
		t.Errorf("%+v", result)
	}
	r.onlyKey(t, r.Store)
	fresh := r.process(t)
	complete(t, fresh)
	for i, key := range []string{"one", "two"} {
		if g, err := fresh.Load(t.Context(), key); err != nil || g.Generation != counts[i] {
			t.Errorf("%s: %v, %v; want generation %d", key, g, err, counts[i])
		}
		if g, err := fresh.Load(t.Context(), key+" spilled"); err != nil || g.Generation != counts[i] {
			t.Errorf("%s spilled: %v, %v; want generation %d", key, g, err, counts[i])
		}
	}
}

// TestRotateKeys_SharedKeyset: another store has the same keyset, so the former key
// stays until its rotation, too.
func TestRotateKeys_SharedKeyset(t *testing.T) {
	r := newRotating(t)
	r.fill(t)
	second := rotating{dir: t.TempDir(), keyset: r.keyset}
	second.url = "sqlite:" + second.dir + "/tokend.db"
	second.Store = second.process(t)
	second.fill(t)
	_, old := r.keysOf(t)
	first, err := r.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if !first.Shared || len(first.Retired) != 0 || len(first.Kept) != 1 || first.Kept[0] != old {
		t.Errorf("%+v, want key %d kept for the other store", first, old)
	}
	complete(t, second.process(t))
	next, err := second.RotateKeys(t.Context(), r.keyset, true)
	must(t, err)
	if !next.Resumed || next.Key != first.Key || len(next.Retired) != 1 {
		t.Errorf("%+v, want the same key %d for the other store, and the former one retired", next, first.Key)
	}
	r.onlyKey(t, r.Store)
	complete(t, r.process(t))
	complete(t, second.process(t))
}

// TestRotateKeys_AnotherFileByMistake: a running process ignores a keyset file that
// does not open its store.
func TestRotateKeys_AnotherFileByMistake(t *testing.T) {
	r := newRotating(t)
	r.fill(t)
	var b strings.Builder
	_, err := newKeys(t).WriteTo(&b)
	must(t, err)
	must(t, os.WriteFile(r.keyset, []byte(b.String()), 0o600))
	saveAgain(t, r.Store)
	must(t, r.Spill(t.Context(), "c", storetest.Grant()))
	complete(t, r.Store)
	if _, err := r.RotateKeys(t.Context(), r.keyset, false); err == nil {
		t.Error("rotated to a keyset that does not open the store")
	}
	complete(t, r.Store)
}

func TestRotateKeys_Refused(t *testing.T) {
	t.Run("another rotation", func(t *testing.T) {
		r := newRotating(t)
		l := lock(t, r.process(t), "rotation of the store keys")
		_, err := r.RotateKeys(t.Context(), r.keyset, false)
		if !errors.Is(err, flow.ErrLocked) || hint.Of(err) == "" {
			t.Errorf("%v", err)
		}
		must(t, l.Release(t.Context()))
	})
	t.Run("file cannot be replaced", func(t *testing.T) {
		r := newRotating(t)
		must(t, os.Mkdir(r.dir+"/..1", 0o700)) // as Kubernetes mounts a secret
		must(t, os.Rename(r.keyset, r.dir+"/..1/keyset.json"))
		must(t, errors.Join(os.Symlink("..1", r.dir+"/..data"), os.Symlink("..data/keyset.json", r.keyset)))
		_, before := r.keysOf(t)
		if _, err := r.RotateKeys(t.Context(), r.keyset, false); err == nil || hint.Of(err) == "" || !strings.Contains(err.Error(), "a symbolic link") {
			t.Errorf("%v", err)
		}
		if ids, now := r.keysOf(t); now != before || len(ids) != 1 {
			t.Errorf("the keyset was changed to %v", ids)
		}
	})
	t.Run("unreadable value", func(t *testing.T) {
		r := newRotating(t)
		r.fill(t)
		change(t, r.dir+"/tokend.db", `UPDATE grants SET sealed = substr(sealed, 1, 40) WHERE key = 'a'`)
		result, err := r.RotateKeys(t.Context(), r.keyset, false)
		must(t, err)
		if result.Unreadable != 1 || len(result.Retired) != 0 || len(result.Kept) != 1 {
			t.Errorf("%+v, want the key of the unreadable value kept", result)
		}
		uses, err := r.KeyUses(t.Context())
		must(t, err)
		if len(uses) != 2 || !uses[0].Seals || uses[0].Values != 5 || uses[1].Values != 1 || uses[1].Seals {
			t.Errorf("%+v", uses)
		}
	})
}
