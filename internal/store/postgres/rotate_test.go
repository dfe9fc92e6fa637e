package postgres_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/store/postgres"
	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/internal/store/seal"
	"example.com/tokend/internal/store/storetest"
	"example.com/tokend/pkg/flow"
)

// keyring is a keyset file that processes follow.
type keyring struct{ text atomic.Pointer[string] }

func (k *keyring) set(t testing.TB, keys *seal.Keyset) {
	t.Helper()
	var b strings.Builder
	_, err := keys.WriteTo(&b)
	must(t, err)
	text := b.String()
	k.text.Store(&text)
}

// read returns the keyset of another process.
func (k *keyring) read(t testing.TB) *seal.Keyset {
	t.Helper()
	keys, err := seal.Parse(*k.text.Load())
	must(t, err)
	keys.Follow(func() (*seal.Keyset, error) { return seal.Parse(*k.text.Load()) })
	return keys
}

// add adds a key, and returns its id.
func (k *keyring) add(t testing.TB) uint32 {
	t.Helper()
	more, err := k.read(t).Added()
	must(t, err)
	k.set(t, more)
	return more.Primary()
}

// rotating is a store whose keyset has a former key, which seals, and a next one.
type rotating struct {
	keyring

	url, db      string
	former, next uint32
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{url: cluster.URL(t)}
	keys := newKeys(t)
	r.set(t, keys)
	r.db, r.former = pgtest.Database(t, r.url), keys.Primary()
	must(t, r.open(t).Close())
	r.next = r.add(t)
	return r
}

func (r *rotating) open(t testing.TB) *postgres.Store {
	t.Helper()
	return open(t, r.url, postgres.Options{Sealer: r.read(t)})
}

// values checks the number of values that each key seals.
func (r *rotating) values(t *testing.T, s *postgres.Store, want map[uint32]int) {
	t.Helper()
	if got, err := s.SealedWith(t.Context()); err != nil || !maps.Equal(got, want) {
		t.Errorf("values by key: %v, %v; want %v", got, err, want)
	}
}

// begin begins a transaction of another program.
func (r *rotating) begin(t *testing.T) pgx.Tx {
	t.Helper()
	c, err := pgx.Connect(t.Context(), r.url)
	must(t, err)
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	tx, err := c.Begin(t.Context())
	must(t, err)
	return tx
}

// awaitWaiting waits until n statements wait for a lock.
func (r *rotating) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	for range 200 {
		got := cluster.SQL(t, r.db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
		if got == fmt.Sprint(n) {
			return
		}
		time.Sleep(10 * time.Millisecond) // another process
	}
	t.Fatalf("not %d statements wait for a lock", n)
}

// useKey does in a transaction what UseKey does.
func (r *rotating) useKey(t *testing.T, tx pgx.Tx, key uint32, id string) {
	t.Helper()
	keys := r.read(t)
	must(t, keys.Use(key))
	check, err := keys.Seal([]byte("tokend store"), "meta", "keycheck", id)
	must(t, err)
	for statement, value := range map[string]any{
		"UPDATE tokend_shards SET key_id = $1":                      int64(key),
		"UPDATE tokend_meta SET value = $1 WHERE name = 'keycheck'": base64.StdEncoding.EncodeToString(check),
	} {
		_, err := tx.Exec(t.Context(), statement, value)
		must(t, err)
	}
}

// TestUseKey_WriteBegunBefore: a write that was sealed with the former key, and waits
// for the lock of its shard while another process replaces the key, is sealed again.
func TestUseKey_WriteBegunBefore(t *testing.T) {
	for name, write := range map[string]func(context.Context, *postgres.Store, flow.Lease) error{
		"Save": func(ctx context.Context, s *postgres.Store, l flow.Lease) error {
			return s.Save(ctx, l, storetest.Grant())
		},
		"KeepLogin": func(ctx context.Context, s *postgres.Store, _ flow.Lease) error {
			return s.KeepLogin(ctx, storetest.PendingLogin("a", "state", time.Now()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRotating(t)
			s := r.open(t)
			l, err := s.Lock(t.Context(), "a", time.Minute)
			must(t, err)
			tx := r.begin(t)
			r.useKey(t, tx, r.next, s.ID())
			done := make(chan error)
			go func() { done <- write(t.Context(), s, l) }()
			r.awaitWaiting(t, 1)
			must(t, tx.Commit(t.Context()))
			must(t, <-done)
			r.values(t, s, map[uint32]int{r.next: 1})
			if n := cluster.SQL(t, r.db, "SELECT sum(saves) FROM tokend_shards"); name == "Save" && n != "1" {
				t.Errorf("%s saves were counted, want 1", n)
			}
		})
	}
}

// TestSave_KeyIsUsedSince: a process that seals with the new key before the store does,
// because it has read the keyset file, saves also if the store begins to use that key
// before this process looks for the reason.
func TestSave_KeyIsUsedSince(t *testing.T) {
	r := newRotating(t)
	w, through := newWire(t, r.url)
	keys := r.read(t)
	s, rotator := open(t, through, postgres.Options{Sealer: keys}), r.open(t)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	must(t, keys.Use(r.next))
	w.callAt("SELECT m.value, g.owner", func() {
		if err := rotator.UseKey(t.Context(), r.next); err != nil {
			t.Error(err)
		}
	})
	must(t, s.Save(t.Context(), l, storetest.Grant()))
	if w.cuts.Load().left.Load() != 0 {
		t.Error("the key was not replaced")
	}
	r.values(t, rotator, map[uint32]int{r.next: 1})
}

// TestUseKey_WaitsForWrite: UseKey ends after a write that has locked its shard, so
// Reseal finds what it has written.
func TestUseKey_WaitsForWrite(t *testing.T) {
	r := newRotating(t)
	s, rotator := r.open(t), r.open(t)
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	tx := r.begin(t)
	_, err = tx.Exec(t.Context(), "SELECT FROM tokend_grants FOR UPDATE")
	must(t, err)
	saved, used := make(chan error), make(chan error)
	go func() { saved <- s.Save(t.Context(), l, g) }()
	r.awaitWaiting(t, 1)
	go func() { used <- rotator.UseKey(t.Context(), r.next) }()
	r.awaitWaiting(t, 2)
	must(t, tx.Commit(t.Context()))
	must(t, <-saved)
	must(t, <-used)
	r.values(t, rotator, map[uint32]int{r.former: 1})
	if n, bad, err := rotator.Reseal(t.Context()); n != 1 || bad != 0 || err != nil {
		t.Errorf("Reseal = %d, %d, %v", n, bad, err)
	}
	r.values(t, rotator, map[uint32]int{r.next: 1})
	if got, err := s.Load(t.Context(), "a"); err != nil || got.Revision != g.Revision {
		t.Errorf("Load = %+v, %v", got, err)
	}
	must(t, s.Save(t.Context(), l, g))
}

// TestReseal_KeyReplacedWhileItWaits: a Reseal whose key is replaced while it waits, as that
// of a process that was stopped for longer than its lease, does not use the former key.
func TestReseal_KeyReplacedWhileItWaits(t *testing.T) {
	r := newRotating(t)
	newest := r.add(t)
	s := r.open(t)
	put(t, s, "a", 1)
	must(t, s.KeepLogin(t.Context(), storetest.PendingLogin("a", "state", time.Now())))
	must(t, s.UseKey(t.Context(), r.next))
	tx := r.begin(t)
	r.useKey(t, tx, newest, s.ID())
	done := make(chan error)
	go func() {
		_, _, err := s.Reseal(t.Context())
		done <- err
	}()
	r.awaitWaiting(t, 1)
	must(t, tx.Commit(t.Context()))
	must(t, <-done)
	r.values(t, s, map[uint32]int{newest: 2})
}

// TestUseKey_WhileStoresSave: two stores save grants and keep logins while a third one
// replaces the key again and again. After each replacement nothing new has a former key,
// and no save is lost.
func TestUseKey_WhileStoresSave(t *testing.T) {
	const saves = 500
	r := newRotating(t)
	var wg sync.WaitGroup
	var running atomic.Int64
	for _, key := range []string{"one", "two"} {
		s := r.open(t)
		running.Add(1)
		wg.Go(func() {
			defer running.Add(-1)
			for range saves {
				storetest.Increment(t, s, key)
				if err := s.KeepLogin(t.Context(), storetest.PendingLogin(key, "state of "+key, time.Now())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer wg.Wait()
	keys := r.read(t)
	rotator := open(t, r.url, postgres.Options{Sealer: keys})
	rounds := 0
	for ; running.Load() > 0 && rounds < 30 || rounds < 2; rounds++ {
		id := r.add(t)
		keys.Refresh()
		must(t, rotator.UseKey(t.Context(), id))
		if _, bad, err := rotator.Reseal(t.Context()); bad != 0 || err != nil {
			t.Errorf("Reseal: %d do not open, %v", bad, err)
		}
		in, err := rotator.SealingKey(t.Context())
		must(t, err)
		if got, err := rotator.SealedWith(t.Context()); err != nil || len(got) > 1 || len(got) == 1 && got[in] == 0 {
			t.Errorf("values by key: %v, %v; only key %d may seal", got, err, in)
		}
	}
	wg.Wait()
	for _, key := range []string{"one", "two"} {
		if g, err := rotator.Load(t.Context(), key); err != nil || g.Generation != saves {
			t.Errorf("%s = %+v, %v; want generation %d", key, g, err, saves)
		}
		if list, err := rotator.PendingLogins(t.Context(), key); err != nil || len(list) != 1 {
			t.Errorf("PendingLogins(%s) = %v, %v", key, list, err)
		}
	}
	t.Logf("%d rotations", rounds)
}

// TestLost_SaveIsSealedAgain: the answer to a Save is lost, and the row is sealed again
// before this process looks. Save finds its own grant.
func TestLost_SaveIsSealedAgain(t *testing.T) {
	r := newRotating(t)
	w, through := newWire(t, r.url)
	s, rotator := open(t, through, postgres.Options{Sealer: r.read(t)}), r.open(t)
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	before := g.Revision
	w.cutAt(afterAnswer, "saved AS (", 1000)
	done := make(chan error)
	go func() { done <- s.Save(t.Context(), l, g) }()
	for {
		if now, err := rotator.Load(t.Context(), "a"); err != nil || now.Revision > before {
			must(t, err)
			break
		}
	}
	must(t, rotator.UseKey(t.Context(), r.next))
	_, _, err = rotator.Reseal(t.Context())
	must(t, err)
	w.cuts.Load().left.Store(0)
	must(t, <-done)
	if got, err := rotator.Load(t.Context(), "a"); err != nil || got.Revision != g.Revision {
		t.Errorf("Load = %+v, %v; Save said revision %d", got, err, g.Revision)
	}
	r.values(t, rotator, map[uint32]int{r.next: 1})
}

// TestUseKey_ReplicaWithoutTheKey: a replica without the new key writes nothing, says
// why, and continues when its keyset has the key. It answers that it lacks the key.
func TestUseKey_ReplicaWithoutTheKey(t *testing.T) {
	r := newRotating(t)
	behind := &keyring{}
	alone, err := seal.Parse(*r.text.Load())
	must(t, err)
	must(t, alone.Use(r.former))
	alone, err = alone.Retired()
	must(t, err)
	behind.set(t, alone)
	s, rotator := open(t, r.url, postgres.Options{Sealer: behind.read(t)}), r.open(t)
	g := put(t, s, "a", 1)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)

	ctx, stop := context.WithCancel(t.Context())
	heard, watch := make(chan string, 100), make(chan error)
	go func() { watch <- s.Watch(ctx, func(key string) { heard <- key }) }()
	<-heard
	for id, want := range map[uint32]bool{r.next: true, r.former: false} {
		if lacks, err := rotator.Lacks(t.Context(), id); err != nil || lacks != want {
			t.Errorf("Lacks(%d) = %v, %v; want %v", id, lacks, err, want)
		}
	}
	stop()
	must(t, <-watch)

	must(t, rotator.UseKey(t.Context(), r.next))
	_, _, err = rotator.Reseal(t.Context())
	must(t, err)
	for name, f := range map[string]func() error{
		"Load": func() error { _, err := s.Load(t.Context(), "a"); return err },
		"Save": func() error { return s.Save(t.Context(), l, g) },
		"Ping": func() error { return s.Ping(t.Context()) },
		"KeepLogin": func() error {
			return s.KeepLogin(t.Context(), storetest.PendingLogin("a", "state", time.Now()))
		},
	} {
		err := f()
		if err == nil || !strings.Contains(err.Error(), "sealed with another keyset") || hint.Of(err) == "" || errors.Is(err, flow.ErrCorrupt) {
			t.Errorf("%s without the key = %v", name, err)
		}
	}
	if _, err := postgres.Open(t.Context(), r.url, postgres.Options{Sealer: behind.read(t)}); err == nil || !strings.Contains(err.Error(), "sealed with another keyset") {
		t.Errorf("Open without the key = %v", err)
	}
	r.values(t, rotator, map[uint32]int{r.next: 1})
	behind.set(t, r.read(t))
	must(t, s.Save(t.Context(), l, g))
	r.values(t, s, map[uint32]int{r.next: 1})
}

// TestLoad_KeysetFileChangesWhileItReads: the keyset file gets the key while Load looks for
// the reason why a row does not open. The row is not damaged.
func TestLoad_KeysetFileChangesWhileItReads(t *testing.T) {
	r := newRotating(t)
	first, later := r.read(t), r.read(t)
	must(t, first.Use(r.former))
	first, err := first.Retired()
	must(t, err)
	reads := 0
	first.Follow(func() (*seal.Keyset, error) {
		if reads++; reads == 1 {
			return nil, errors.New("not written yet")
		}
		return later, nil
	})
	s, rotator := open(t, r.url, postgres.Options{Sealer: first}), r.open(t)
	must(t, rotator.UseKey(t.Context(), r.next))
	put(t, rotator, "a", 1)
	if g, err := s.Load(t.Context(), "a"); err != nil || g.Generation != 1 {
		t.Errorf("Load = %v, %v", g, err)
	}
}

// TestSave_KeyOfShardDamaged: a shard with another key than the key check is reported.
func TestSave_KeyOfShardDamaged(t *testing.T) {
	r := newRotating(t)
	s := r.open(t)
	l, err := s.Lock(t.Context(), "a", time.Minute)
	must(t, err)
	cluster.SQL(t, r.db, "UPDATE tokend_shards SET key_id = 7")
	if err := s.Save(t.Context(), l, storetest.Grant()); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "another key than the key check") {
		t.Errorf("Save = %v", err)
	}
}

// TestReplaced_RotationOfKeys: what a rotation does reports another store, or none.
func TestReplaced_RotationOfKeys(t *testing.T) {
	for change, want := range map[string]string{
		"UPDATE tokend_meta SET value = 'other' WHERE name = 'id'": "was overwritten with another store",
		"DELETE FROM tokend_meta WHERE name = 'id'":                "store", // of this program, or another one
	} {
		r := newRotating(t)
		s := r.open(t)
		cluster.SQL(t, r.db, change)
		_, keyErr := s.SealingKey(t.Context())
		_, countErr := s.SealedWith(t.Context())
		for op, err := range map[string]error{"UseKey": s.UseKey(t.Context(), r.next), "SealingKey": keyErr, "SealedWith": countErr} {
			if !errors.Is(err, flow.ErrReplaced) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s after %s: %v", op, change, err)
			}
		}
	}
}

func TestSealingKey_KeyCheckDamaged(t *testing.T) {
	r := newRotating(t)
	s := r.open(t)
	cluster.SQL(t, r.db, "UPDATE tokend_meta SET value = '!' WHERE name = 'keycheck'")
	if _, err := s.SealingKey(t.Context()); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "not base64") {
		t.Errorf("SealingKey = %v", err)
	}
	if s, err := postgres.Open(t.Context(), r.url, postgres.Options{Sealer: newKeys(t)}); !errors.Is(err, flow.ErrCorrupt) || !strings.Contains(err.Error(), "not base64") {
		t.Errorf("Open = %v", err)
		if s != nil {
			must(t, s.Close())
		}
	}
}
