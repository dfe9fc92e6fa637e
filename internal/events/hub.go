// Package events passes on the events of grants: to callers of the API that follow
// them, to the log, and to the command or webhook of the configuration.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"example.com/tokend/pkg/flow"
)

// Event is an event with an id, which orders the events of this process.
type Event struct {
	ID string `json:"id"`
	flow.Event
}

// Missed is the type of the event that a reader gets in place of events that are no
// longer kept.
const Missed flow.EventKind = "missed"

// kept is how many events are kept for readers that come back.
const kept = 4096

// Hub keeps the latest events for its readers. It is safe for concurrent use.
type Hub struct {
	start string // begins the ids of this process's events
	log   *slog.Logger

	mu      sync.Mutex
	ring    []flow.Event  // the latest; event n is at (n-1) % kept
	next    uint64        // number of the next event
	changed chan struct{} // closed at the next event; nil: no reader waits
	sinks   []func(Event)
}

// New returns a hub. start distinguishes the ids of this process from those of others;
// log gets a line for each event.
func New(start string, log *slog.Logger) *Hub {
	return &Hub{start: start, log: log, next: 1}
}

// Sink adds a function that gets every event. It must not block.
func (h *Hub) Sink(f func(Event)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sinks = append(h.sinks, f)
}

// Publish passes on an event. It does not block.
func (h *Hub) Publish(e flow.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := int((h.next - 1) % kept); at == len(h.ring) {
		h.ring = append(h.ring, e)
	} else {
		h.ring[at] = e
	}
	for _, sink := range h.sinks {
		sink(h.event(h.next))
	}
	h.next++
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
	level := slog.LevelInfo
	if e.Kind == flow.EventRefreshed {
		level = slog.LevelDebug // the client logs it
	}
	attrs := []any{"type", e.Kind, "client", e.Client, "state", e.State}
	if !e.GrantEnds.IsZero() {
		attrs = append(attrs, "grant_ends", e.GrantEnds)
	}
	if e.Failure != nil {
		attrs = append(attrs, "reason", e.Failure.Description, "hint", e.Failure.Hint)
	}
	h.log.Log(context.Background(), level, "event", attrs...)
}

// event returns event n, which is kept; mu is held.
func (h *Hub) event(n uint64) Event {
	return Event{ID: h.start + "-" + strconv.FormatUint(n, 10), Event: h.ring[(n-1)%kept]}
}

// Reader reads the events of a [Hub] in order. It is for one goroutine.
type Reader struct {
	hub    *Hub
	next   uint64
	missed bool // events between the last one that was read and next are no longer kept
}

// After returns a reader of the events after the one with that id, or of the next ones
// if id is "". If events after it are no longer kept, or it is another process's id, the
// first event that the reader gets is [Missed].
func (h *Hub) After(id string) *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &Reader{hub: h, next: h.next}
	if id == "" {
		return r
	}
	number, ours := strings.CutPrefix(id, h.start+"-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ours || err != nil || n >= h.next {
		r.next, r.missed = h.first(), true
		return r
	}
	r.next = n + 1
	return r
}

// Recent returns the events of a client that are kept, oldest first.
func (h *Hub) Recent(client string) []flow.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []flow.Event
	for n := h.first(); n < h.next; n++ {
		if e := h.event(n); e.Client == client {
			list = append(list, e.Event)
		}
	}
	return list
}

// first returns the number of the first event that is kept; mu is held.
func (h *Hub) first() uint64 { return h.next - uint64(len(h.ring)) }

// Next waits for the next event that want accepts, until ctx ends.
func (r *Reader) Next(ctx context.Context, want func(client string) bool) (Event, error) {
	for {
		e, ok, changed := r.read(want)
		if ok {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// read returns the next event, or a channel that is closed when there is another one.
func (r *Reader) read(want func(client string) bool) (e Event, ok bool, changed <-chan struct{}) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := h.first(); r.next < first {
		r.next, r.missed = first, true
	}
	if r.missed {
		r.missed = false
		return Event{ID: fmt.Sprintf("%s-%d", h.start, r.next-1), Event: flow.Event{Kind: Missed}}, true, nil
	}
	for ; r.next < h.next; r.next++ {
		if e := h.event(r.next); want(e.Client) {
			r.next++
			return e, true, nil
		}
	}
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return Event{}, false, h.changed
}

// MarshalJSON leaves out what a missed event does not have.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Kind == Missed {
		return json.Marshal(struct {
			ID   string         `json:"id"`
			Kind flow.EventKind `json:"type"`
		}{e.ID, e.Kind})
	}
	type plain flow.Event
	return json.Marshal(struct {
		ID string `json:"id"`
		plain
	}{e.ID, plain(e.Event)})
}
