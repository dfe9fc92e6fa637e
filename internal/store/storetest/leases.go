package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

// locked checks that another holder has the lease of "a".
func locked(t *testing.T, s flow.Store) {
	t.Helper()
	_, err := s.Lock(t.Context(), "a", ttl)
	want(t, "Lock of a held lease", err, flow.ErrLocked)
}

func release(t *testing.T, l flow.Lease) {
	t.Helper()
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("Release = %v", err)
	}
}

func testLockExcludes(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	start := time.Now()
	locked(t, o.Store)
	locked(t, o.Other)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("ErrLocked took %v, want it at once", d)
	}
	lock(t, o.Other, "b")
	release(t, l)
	lock(t, o.Other, "a")
}

func testLockWithoutTTL(t *testing.T, o Opened) {
	for _, ttl := range []time.Duration{0, -time.Second} {
		if _, err := o.Store.Lock(t.Context(), "a", ttl); err == nil || errors.Is(err, flow.ErrLocked) || !strings.Contains(err.Error(), "the ttl must be positive") {
			t.Errorf("Lock for %v = %v, want an error", ttl, err)
		}
	}
	lock(t, o.Other, "a")
}

// ofAnotherStore is the lease of a key of another store.
type ofAnotherStore struct{ flow.Lease }

func testLeaseOfAnotherStore(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	save(t, o.Store, l, g)
	unchanged(t, o.Store, ofAnotherStore{l}, g)
	save(t, o.Store, l, g)
}

func testReleasedLease(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	release(t, l)
	unchanged(t, o.Store, l, Grant())
	want(t, "Renew", l.Renew(t.Context()), flow.ErrConflict)
	release(t, l) // again: no error, no effect
	lock(t, o.Other, "a")
	release(t, l)
	locked(t, o.Store)
}

func testLeaseRunsOut(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	o.Advance(ttl - time.Minute)
	locked(t, o.Other)
	g := Grant()
	save(t, o.Store, l, g)
	o.Advance(time.Minute + time.Second)
	lock(t, o.Other, "a")
}

// testLateSave checks that an answer that arrives after the lease has expired is
// saved, as long as no other holder has taken the lease.
func testLateSave(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	save(t, o.Store, l, g)
	o.Advance(ttl + time.Minute)
	g.Generation++
	save(t, o.Store, l, g)
	if got := load(t, o.Other, "a").Generation; got != g.Generation {
		t.Errorf("Load has generation %d, want the late save's %d", got, g.Generation)
	}
	save(t, o.Other, lock(t, o.Other, "a"), g)
	unchanged(t, o.Store, l, g)
}

func testLateRenew(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	o.Advance(ttl + time.Minute)
	if err := l.Renew(t.Context()); err != nil {
		t.Fatalf("Renew of an expired lease that was not taken = %v", err)
	}
	locked(t, o.Other)
	o.Advance(ttl + time.Second)
	next := lock(t, o.Other, "a")
	want(t, "Renew after it was taken", l.Renew(t.Context()), flow.ErrConflict)
	release(t, next)
	want(t, "Renew after it was taken and released", l.Renew(t.Context()), flow.ErrConflict)
	unchanged(t, o.Store, l, Grant())
}

func testLostLease(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	g := Grant()
	save(t, o.Store, l, g)
	o.Advance(ttl + time.Second)
	next := lock(t, o.Other, "a")

	unchanged(t, o.Store, l, g)
	want(t, "Renew", l.Renew(t.Context()), flow.ErrConflict)
	release(t, l)
	locked(t, o.Store) // the new holder's lease is not affected
	save(t, o.Other, next, g)
}

func testRenew(t *testing.T, o Opened) {
	l := lock(t, o.Store, "a")
	for range 3 {
		o.Advance(ttl * 2 / 3)
		if err := l.Renew(t.Context()); err != nil {
			t.Fatalf("Renew = %v", err)
		}
	}
	locked(t, o.Other)
	save(t, o.Store, l, Grant())
	o.Advance(ttl + time.Second) // renewed by its ttl from now
	lock(t, o.Other, "a")
}

// testClockIsSet checks that a living holder keeps its lease for its ttl, and at
// most three times that, wherever the clock is set to.
func testClockIsSet(t *testing.T, o Opened) {
	if o.SetClock == nil {
		return
	}
	g := Grant()
	for _, by := range []time.Duration{24 * time.Hour, ttl, time.Second, -time.Second, -ttl, -24 * time.Hour} {
		l := lock(t, o.Store, "a")
		o.SetClock(by)
		locked(t, o.Other)
		save(t, o.Store, l, g)
		o.Advance(ttl - time.Minute)
		locked(t, o.Other)
		o.Advance(2*ttl + 2*time.Minute)
		next := lock(t, o.Other, "a")
		unchanged(t, o.Store, l, g)
		save(t, o.Other, next, g)
		release(t, next)
	}
}

// testRenewAfterClockIsSet checks that a renewed lease ends by the time since its
// renewal, wherever the clock was set to before and after.
func testRenewAfterClockIsSet(t *testing.T, o Opened) {
	if o.SetClock == nil {
		return
	}
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		l := lock(t, o.Store, "a")
		o.Advance(ttl - time.Minute)
		o.SetClock(by)
		if err := l.Renew(t.Context()); err != nil {
			t.Fatalf("Renew = %v", err)
		}
		o.SetClock(by)
		o.Advance(ttl - time.Minute)
		locked(t, o.Other)
		o.Advance(2 * time.Minute)
		release(t, lock(t, o.Other, "a"))
	}
}
