package keeper

import "time"

// Entry is a client that a [Keeper] keeps.
type Entry struct {
	keeper *Keeper
	client Client
	lane   *lane

	// Guarded by Keeper.mu.
	at    int64 // of the next request, or of the next read if reads is set: Unix nanoseconds
	index int32 // in the heap; -1: not there
	state state
	again bool // woken while it ran
	reads bool // only a person or another process can help
}

// state says where an entry is.
type state uint8

const (
	idle    state = iota // in the heap, or waiting for a wake-up
	queued               // in a lane
	running              // in a worker
	removed
)

// Remove ends the keeping of a client: none of its requests begins any more. The
// caller closes the client, which waits for a request in flight.
func (e *Entry) Remove() {
	e.client.OnWake(nil)
	k := e.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.state == removed {
		return
	}
	k.heap.remove(e)
	e.state = removed
	if key := e.client.Key(); k.entries[key] == e {
		delete(k.entries, key)
	}
	if e.lane.clients--; e.lane.clients == 0 {
		delete(k.issuers, e.lane.issuer)
	}
}

// wake plans the client again.
func (e *Entry) wake() {
	k := e.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replan(e) {
		k.signal()
	}
}

// replan queues an entry for a call of Next; mu is held.
func (k *Keeper) replan(e *Entry) bool {
	switch {
	case k.ended || e.state == removed:
		return false
	case e.state == idle:
		k.heap.remove(e)
		k.enqueue(k.plans, e)
		return true
	default:
		e.again = true
		return false
	}
}

// enqueue adds an entry to a lane; mu is held.
func (k *Keeper) enqueue(l *lane, e *Entry) {
	e.state = queued
	l.queue.push(e)
	if l != k.plans {
		k.offer(l)
	}
}

// planned puts an entry where the time of its next request belongs; mu is held.
func (k *Keeper) planned(e *Entry, at time.Time) {
	if e.state == removed || k.ended {
		return
	}
	e.state, e.reads = idle, at.IsZero()
	switch {
	case e.again:
		e.again = false
		k.enqueue(k.plans, e)
	case !at.IsZero():
		k.heap.push(e, at.UnixNano())
	case !k.watching:
		k.heap.push(e, k.readAt().UnixNano())
	}
}

// readAt returns when the next client that waits for a person reads the store: the
// reads of many such clients are spread evenly, so that their rate is bounded; mu is
// held.
func (k *Keeper) readAt() time.Time {
	at, first := k.nextRead.Add(readGap), k.cfg.Now().Add(readPause)
	if at.Before(first) || at.Sub(first) > time.Duration(len(k.entries)+1)*readGap { // the clock was set back
		at = first
	}
	k.nextRead = at
	return at
}
