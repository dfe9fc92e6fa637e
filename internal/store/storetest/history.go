package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/tokend/pkg/flow"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// kind is an operation of a history.
type kind string

const (
	opLock    kind = "Lock"
	opRelease kind = "Release"
	opLoad    kind = "Load"
	opSave    kind = "Save"
	opDelete  kind = "Delete"
)

// call is an operation on one key.
type call struct {
	kind       kind
	key        string
	lease      int   // of Lock, Release, Save: which call of Lock
	from       int64 // of Save: the revision that the grant was made from
	generation int64 // of Save
}

// result is what an operation returned. ok is false for the errors that the interface
// names: ErrLocked, ErrNotFound, ErrConflict.
type result struct {
	ok                   bool
	revision, generation int64 // of Load and Save
}

// grantState is the sequential state of one key.
type grantState struct {
	stored               bool
	revision, generation int64
	owner                int   // the lease; 0: free
	highest              int64 // the highest revision so far
}

// model is a store that does one thing at a time. Leases do not expire in it.
func model(volatile bool) porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range history {
				byKey[o.Input.(call).key] = append(byKey[o.Input.(call).key], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return grantState{} },
		Step: func(state, input, output any) (bool, any) {
			return step(state.(grantState), input.(call), output.(result), volatile)
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step reports whether a call may have that result in a state, and returns the next
// state.
func step(s grantState, c call, r result, volatile bool) (bool, grantState) {
	var expected result
	switch c.kind {
	case opLock:
		if expected.ok = s.owner == 0; expected.ok {
			s.owner = c.lease
		}
	case opRelease:
		expected.ok = true
		if s.owner == c.lease {
			s.owner = 0
		}
	case opLoad:
		if s.stored {
			expected = result{ok: true, revision: s.revision, generation: s.generation}
		}
	case opSave:
		if s.owner != c.lease || s.revision != c.from {
			break
		}
		if r.revision <= s.revision || !volatile && r.revision <= s.highest { // the store chooses it
			return false, s
		}
		expected = result{ok: true, revision: r.revision, generation: c.generation}
		s = grantState{stored: true, revision: r.revision, generation: c.generation, owner: s.owner, highest: max(s.highest, r.revision)}
	case opDelete:
		expected.ok = true
		s.stored, s.revision, s.generation = false, 0, 0
	}
	return r == expected, s
}

// recorder makes a history: each operation with its place in the order of calls and
// returns.
type recorder struct {
	clock  atomic.Int64
	leases atomic.Int64

	mu      sync.Mutex
	history []porcupine.Operation
	faults  []error
}

func (h *recorder) do(client int, c call, f func() (result, error)) {
	began := h.clock.Add(1)
	r, err := f()
	ended := h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && !errors.Is(err, flow.ErrLocked) && !errors.Is(err, flow.ErrNotFound) && !errors.Is(err, flow.ErrConflict) {
		h.faults = append(h.faults, fmt.Errorf("%s(%q) = %w", c.kind, c.key, err))
		return
	}
	r.ok = err == nil
	h.history = append(h.history, porcupine.Operation{ClientId: client, Input: c, Call: began, Output: r, Return: ended})
}

// historyKeys are few, so that the goroutines meet.
var historyKeys = []string{"a", "b"}

// History makes a random concurrent history of the two handles of o.
func History(ctx context.Context, o Opened, seed uint64, goroutines, operations int) ([]porcupine.Operation, error) {
	h := &recorder{}
	var wg sync.WaitGroup
	for i := range goroutines {
		w := &worker{
			recorder: h, id: i, s: []flow.Store{o.Store, o.Other}[i%2], rand: rand.New(rand.NewPCG(seed, uint64(i))), //nolint:gosec // a test's choices
			leases: map[string]held{}, seen: map[string]*flow.Grant{},
		}
		wg.Go(func() {
			for range operations {
				w.step(ctx)
			}
			for key := range w.leases {
				w.release(ctx, key)
			}
		})
	}
	wg.Wait()
	return h.history, errors.Join(h.faults...)
}

// held is a lease that a worker has taken, and perhaps released.
type held struct {
	lease flow.Lease
	id    int
}

// worker makes random calls, also with leases that it has released and from grants
// that others have replaced.
type worker struct {
	*recorder
	id     int
	s      flow.Store
	rand   *rand.Rand
	leases map[string]held
	seen   map[string]*flow.Grant
}

func (w *worker) step(ctx context.Context) {
	key := historyKeys[w.rand.IntN(len(historyKeys))]
	_, has := w.leases[key]
	switch n := w.rand.IntN(20); {
	case !has:
		w.lock(ctx, key)
	case n < 10:
		w.save(ctx, key)
	case n < 15:
		w.load(ctx, key)
	case n < 16:
		w.do(w.id, call{kind: opDelete, key: key}, func() (result, error) { return result{}, w.s.Delete(ctx, key) })
	case n < 19:
		w.release(ctx, key)
	default:
		w.lock(ctx, key)
	}
}

func (w *worker) lock(ctx context.Context, key string) {
	id := int(w.recorder.leases.Add(1))
	w.do(w.id, call{kind: opLock, key: key, lease: id}, func() (result, error) {
		l, err := w.s.Lock(ctx, key, time.Hour)
		if err == nil {
			w.leases[key] = held{l, id}
		}
		return result{}, err
	})
	w.load(ctx, key)
}

// release keeps the lease in one of four cases, to save with it later.
func (w *worker) release(ctx context.Context, key string) {
	l := w.leases[key]
	w.do(w.id, call{kind: opRelease, key: key, lease: l.id}, func() (result, error) { return result{}, l.lease.Release(ctx) })
	if w.rand.IntN(4) > 0 {
		delete(w.leases, key)
	}
}

func (w *worker) load(ctx context.Context, key string) {
	w.do(w.id, call{kind: opLoad, key: key}, func() (result, error) {
		g, err := w.s.Load(ctx, key)
		if err != nil {
			delete(w.seen, key)
			return result{}, err
		}
		w.seen[key] = g
		return result{revision: g.Revision, generation: g.Generation}, nil
	})
}

func (w *worker) save(ctx context.Context, key string) {
	g := &flow.Grant{State: flow.GrantActive}
	if seen := w.seen[key]; seen != nil {
		*g = *seen
	}
	g.Generation = w.rand.Int64N(1 << 40)
	l := w.leases[key]
	w.do(w.id, call{kind: opSave, key: key, lease: l.id, from: g.Revision, generation: g.Generation}, func() (result, error) {
		if err := w.s.Save(ctx, l.lease, g); err != nil {
			return result{}, err
		}
		if w.rand.IntN(2) == 0 { // otherwise the next one is made from an old revision
			w.seen[key] = g
		}
		return result{revision: g.Revision, generation: g.Generation}, nil
	})
}

// Linearizable reports whether a history could have been made by a store that does
// one thing at a time.
func Linearizable(history []porcupine.Operation, volatile bool) bool {
	return porcupine.CheckOperations(model(volatile), history)
}

func testLinearizable(t *testing.T, o Opened) {
	const goroutines, operations = 6, 60
	history, err := History(t.Context(), o, 1, goroutines, operations)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) < goroutines*operations {
		t.Errorf("the history has only %d operations", len(history))
	}
	if !Linearizable(history, o.Volatile) {
		t.Errorf("a history of %d operations is not linearizable", len(history))
	}
}
