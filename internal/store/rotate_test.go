package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/store/postgres/pgtest"
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
	return rotating{dir: dir, url: "sqlite:" + dir + "/tokend.db", keyset: dir + "/keyset.json"}.opened(t)
}

// newReplicated is a store that has replicas.
func newReplicated(t *testing.T) rotating {
	t.Helper()
	dir := t.TempDir()
	return rotating{dir: dir, url: cluster.URL(t), keyset: dir + "/keyset.json"}.opened(t)
}

func (r rotating) opened(t *testing.T) rotating {
	t.Helper()
	r.Store = r.process(t)
	return r
}

func (r rotating) replicated() bool { return strings.HasPrefix(r.url, "postgres") }

// eachStore runs a test with a store of each kind.
func eachStore(t *testing.T, test func(t *testing.T, r rotating)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newRotating(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newReplicated(t)) })
}

// process opens the store once more, with a keyset of its own, as another process does.
func (r rotating) process(t *testing.T) *store.Store {
	t.Helper()
	keys, err := store.LoadOrCreateKeyset(t.Context(), r.keyset, r.url, store.Options{})
	must(t, err)
	return openAt(t, r.url, store.Options{Keys: keys, MarkFile: r.keyset + ".mark", StateDir: r.dir})
}

// machine returns the store as another machine has it: with a copy of the keyset file,
// and a spill of its own.
func (r rotating) machine(t *testing.T) rotating {
	t.Helper()
	other := rotating{dir: t.TempDir(), url: r.url}
	other.keyset = other.dir + "/keyset.json"
	r.copyKeyset(t, other)
	return other.opened(t)
}

func (r rotating) copyKeyset(t *testing.T, to rotating) {
	t.Helper()
	b, err := os.ReadFile(r.keyset)
	must(t, err)
	must(t, os.WriteFile(to.keyset, b, 0o600))
}

// rotate replaces the key, in as many steps as the store needs.
func (r rotating) rotate(t *testing.T, s *store.Store) store.Rotation {
	t.Helper()
	if r.replicated() {
		_, err := s.AddKey(t.Context(), r.keyset, nil)
		must(t, err)
	}
	result, err := s.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	return r.retire(t, s, result)
}

func (r rotating) retire(t *testing.T, s *store.Store, result store.Rotation) store.Rotation {
	t.Helper()
	if r.replicated() {
		if len(result.Retired) != 0 || !result.Replicas {
			t.Errorf("%+v: removed before the other machines were rotated", result)
		}
		retired, err := s.RetireKeys(t.Context(), r.keyset, false, nil)
		must(t, err)
		result.Retired, result.Kept, result.Shared = retired.Retired, retired.Kept, retired.Shared
	}
	return result
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
	names, err := filepath.Glob(r.dir + "/*.spill/*")
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

func TestRotateKeys(t *testing.T) { eachStore(t, testRotateKeys) }

func testRotateKeys(t *testing.T, r rotating) {
	r.fill(t)
	_, old := r.keysOf(t)
	former, err := os.ReadFile(r.keyset)
	must(t, err)
	idle, other := r.process(t), r.process(t)
	complete(t, idle)
	for round := range 2 {
		result := r.rotate(t, r.Store)
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
	if _, err := store.Open(t.Context(), r.url, store.Options{Keys: keys, StateDir: r.dir}); err == nil || !strings.Contains(err.Error(), "sealed with another keyset") {
		t.Errorf("Open with the former keyset = %v", err)
	}
}

// TestRotateKeys_Interrupted begins after each step, as after a crash: the next
// rotation finishes it and makes no other key.
func TestRotateKeys_Interrupted(t *testing.T) {
	for kind, make := range map[string]func(*testing.T) rotating{"sqlite": newRotating, "postgres": newReplicated} {
		t.Run(kind, func(t *testing.T) { testInterrupted(t, make) })
	}
}

func testInterrupted(t *testing.T, make func(*testing.T) rotating) {
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
			result, err := r.RotateKeys(t.Context(), r.keyset, false)
			must(t, err)
			r.retire(t, r.Store, result)
			must(t, os.WriteFile(r.keyset, b, 0o600))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := make(t)
			r.fill(t)
			idle := r.process(t)
			tc.before(t, r)
			_, made := r.keysOf(t)
			complete(t, r.process(t)) // a process that starts then
			rotator, result := r.process(t), store.Rotation{Replicas: true}
			if !r.replicated() || tc.want > 0 { // otherwise there is nothing left to rotate
				var err error
				result, err = rotator.RotateKeys(t.Context(), r.keyset, false)
				must(t, err)
			} else {
				result.Resumed, result.Key = true, made
			}
			result = r.retire(t, rotator, result)
			if added := r.replicated() && name == "key is in the file"; result.Resumed == added || result.Key != made || result.Resealed != tc.want || len(result.Retired) != 1 {
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
func TestRotateKeys_WhileProcessesServe(t *testing.T) { eachStore(t, testWhileProcessesServe) }

func testWhileProcessesServe(t *testing.T, r rotating) {
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
		if result := r.rotate(t, r.Store); result.Unreadable != 0 {
			t.Errorf("%+v", result)
		}
	}
	cancel()
	wg.Wait()
	result := r.rotate(t, r.Store)
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
	eachStore(t, func(t *testing.T, r rotating) { // an unreadable value
		r.fill(t)
		if r.replicated() {
			cluster.SQL(t, pgtest.Database(t, r.url), `UPDATE tokend_grants SET sealed = substring(sealed FROM 1 FOR 40) WHERE key = 'a'`)
		} else {
			change(t, r.dir+"/tokend.db", `UPDATE grants SET sealed = substr(sealed, 1, 40) WHERE key = 'a'`)
		}
		result := r.rotate(t, r.Store)
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

// TestRotateKeys_Replicas: the steps of a rotation on two machines. The store uses no
// key that a running replica lacks, and what a replica has spilled under the former key
// stays readable until the key is removed.
func TestRotateKeys_Replicas(t *testing.T) {
	r := newReplicated(t)
	r.fill(t)
	other := r.machine(t)
	complete := func(s *store.Store) {
		t.Helper()
		if g, err := s.Load(t.Context(), "a"); err != nil || g.RefreshToken == "" {
			t.Errorf("Load = %v, %v", g, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	heard, watch := make(chan string, 100), make(chan error)
	go func() { watch <- other.Watch(ctx, func(key string) { heard <- key }) }()
	<-heard
	must(t, other.Spill(t.Context(), "spilled", storetest.Grant()))

	if _, err := r.RotateKeys(t.Context(), r.keyset, false); err == nil || !strings.Contains(hint.Of(err), "--add-only") {
		t.Errorf("RotateKeys without a new key = %v", err)
	}
	added, err := r.AddKey(t.Context(), r.keyset, nil)
	must(t, err)
	_, old := other.keysOf(t)
	if again, err := r.AddKey(t.Context(), r.keyset, nil); err != nil || !again.Resumed || again.Key != added.Key {
		t.Errorf("AddKey again = %+v, %v; want key %d", again, err, added.Key)
	}
	if _, err := r.RotateKeys(t.Context(), r.keyset, false); err == nil || !strings.Contains(err.Error(), "a running replica does not have") || hint.Of(err) == "" {
		t.Errorf("RotateKeys = %v, want an error: the other machine does not have the key", err)
	}
	if _, err := r.RetireKeys(t.Context(), r.keyset, false, nil); err == nil || hint.Of(err) == "" {
		t.Errorf("RetireKeys before the store uses the new key = %v", err)
	}
	if in, err := r.SealingKey(t.Context()); err != nil || in != old {
		t.Errorf("the store seals with %d, %v; want the former key %d", in, err, old)
	}
	saveAgain(t, other.Store)

	r.copyKeyset(t, other)
	result, err := r.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if result.Key != added.Key || result.Resumed || len(result.Retired) != 0 || len(result.Kept) != 1 {
		t.Errorf("%+v, want the new key %d, and the former one kept", result, added.Key)
	}
	complete(other.Store)
	saveAgain(t, other.Store)
	if retired, err := other.RetireKeys(t.Context(), other.keyset, false, nil); err != nil || len(retired.Kept) != 1 || len(retired.Retired) != 0 {
		t.Errorf("RetireKeys on the machine that has spilled = %+v, %v; want the former key kept", retired, err)
	}

	// Too early: the other machine has a value of the former key.
	both, err := os.ReadFile(other.keyset)
	must(t, err)
	if retired, err := r.RetireKeys(t.Context(), r.keyset, false, nil); err != nil || len(retired.Retired) != 1 || retired.Retired[0] != old {
		t.Errorf("RetireKeys = %+v, %v; want key %d removed", retired, err, old)
	}
	r.copyKeyset(t, other)
	late := other.process(t)
	if g, err := late.Load(t.Context(), "spilled"); err == nil || errors.Is(err, flow.ErrNotFound) || !strings.Contains(hint.Of(err), "former store key") || !strings.Contains(err.Error(), other.spillFiles(t)[0]) {
		t.Errorf("Load of a grant that is spilled under a missing key = %v, %v", g, err)
	}
	complete(late)
	must(t, os.WriteFile(other.keyset, both, 0o600))
	if g, err := late.Load(t.Context(), "spilled"); err != nil || g.Generation != 7 {
		t.Errorf("Load with the former key = %v, %v", g, err)
	}
	if again, err := other.RotateKeys(t.Context(), other.keyset, false); err != nil || again.Resealed != 1 {
		t.Errorf("RotateKeys on the machine that has spilled = %+v, %v; want the spilled grant sealed again", again, err)
	}
	if retired, err := other.RetireKeys(t.Context(), other.keyset, false, nil); err != nil || len(retired.Retired) != 1 {
		t.Errorf("RetireKeys = %+v, %v", retired, err)
	}
	stop()
	must(t, <-watch)
}

// TestRotateKeys_SavesOfTwoReplicas: two replicas save 500 times while another process
// rotates the key twice.
func TestRotateKeys_SavesOfTwoReplicas(t *testing.T) {
	r := newReplicated(t)
	var wg sync.WaitGroup
	for _, key := range []string{"one", "two"} {
		s := r.process(t)
		wg.Go(func() {
			for range 500 {
				storetest.Increment(t, s, key)
			}
		})
	}
	for range 2 {
		if result := r.rotate(t, r.process(t)); result.Unreadable != 0 || len(result.Retired) != 1 {
			t.Errorf("%+v", result)
		}
	}
	wg.Wait()
	r.onlyKey(t, r.Store)
	for _, key := range []string{"one", "two"} {
		if g, err := r.process(t).Load(t.Context(), key); err != nil || g.Generation != 500 {
			t.Errorf("%s: %v, %v; want generation 500", key, g, err)
		}
	}
}

// TestRotateKeys_SharedWithOtherKind: a store of another kind has used the keyset.
func TestRotateKeys_SharedWithOtherKind(t *testing.T) {
	r := newReplicated(t)
	file := rotating{dir: r.dir, url: "sqlite:" + r.dir + "/tokend.db", keyset: r.keyset}.opened(t)
	put := func(s *store.Store) {
		l := lock(t, s, "a")
		must(t, s.Save(t.Context(), l, storetest.Grant()))
		must(t, l.Release(t.Context()))
	}
	put(r.Store)
	put(file.Store)
	result, err := file.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if !result.Shared || len(result.Kept) != 1 {
		t.Errorf("rotation of the file: %+v, want the former key kept for the PostgreSQL store", result)
	}
	_, err = r.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if retired, err := r.RetireKeys(t.Context(), r.keyset, false, nil); err != nil || !retired.Shared || len(retired.Kept) != 1 {
		t.Errorf("%+v, %v; want the former key kept for the file", retired, err)
	}
	if retired, err := r.RetireKeys(t.Context(), r.keyset, true, nil); err != nil || len(retired.Retired) != 1 {
		t.Errorf("%+v, %v", retired, err)
	}
}

// TestAddKey_Output: the keyset is written elsewhere if its file cannot be replaced.
func TestAddKey_Output(t *testing.T) {
	r := newReplicated(t)
	r.fill(t)
	before, err := os.ReadFile(r.keyset)
	must(t, err)
	var b []byte
	write := func(content []byte) error { b = content; return nil }
	added, err := r.AddKey(t.Context(), r.keyset, write)
	must(t, err)
	if after, err := os.ReadFile(r.keyset); err != nil || string(after) != string(before) {
		t.Errorf("the keyset file was changed: %v", err)
	}
	must(t, os.WriteFile(r.keyset, b, 0o600))
	result, err := r.RotateKeys(t.Context(), r.keyset, false)
	must(t, err)
	if result.Key != added.Key {
		t.Errorf("%+v, want key %d", result, added.Key)
	}
	_, err = r.RetireKeys(t.Context(), r.keyset, false, write)
	must(t, err)
	if ids, _ := r.keysOf(t); len(ids) != 2 {
		t.Errorf("keys in the file: %v", ids)
	}
	must(t, os.WriteFile(r.keyset, b, 0o600))
	r.onlyKey(t, r.Store)
	complete(t, r.process(t))
}

// TestSpill_KeyReplacedBetween: the keys are rotated after a grant was sealed and before
// its file exists, where the rotation cannot see it.
func TestSpill_KeyReplacedBetween(t *testing.T) {
	r := newRotating(t)
	keys := store.KeysOf(r.Store)
	next, err := keys.Added()
	must(t, err)
	keys.Follow(func() (*seal.Keyset, error) { return next, nil })
	must(t, r.Spill(t.Context(), "a", storetest.Grant()))
	b, err := os.ReadFile(r.spillFiles(t)[0])
	must(t, err)
	var file struct{ Sealed []byte }
	must(t, json.Unmarshal(b, &file))
	if id, ok := seal.KeyOf(file.Sealed); !ok || id != next.Primary() {
		t.Errorf("the file is sealed with key %d, want the new key %d", id, next.Primary())
	}
}
