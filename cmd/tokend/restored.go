package main

import (
	"log/slog"
	"slices"
	"sync"

	"example.com/tokend/internal/config"
	"example.com/tokend/pkg/flow"
)

// restoredWarning logs, once after the start, that the store was restored from an older
// copy. Each client detects that when it loads its grant, so the warning waits for the
// first state of every client.
type restoredWarning struct {
	log *slog.Logger

	mu       sync.Mutex
	starting map[string]bool // clients without a state yet
	loaded   chan struct{}   // closed when every client has one
	restored []string
}

func newRestoredWarning(clients []config.Client, log *slog.Logger) *restoredWarning {
	w := &restoredWarning{log: log, starting: map[string]bool{}, loaded: make(chan struct{})}
	for _, c := range clients {
		w.starting[c.Name] = true
	}
	return w
}

// note records a client's state. It does not block.
func (w *restoredWarning) note(s flow.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.starting[s.Client] || s.State == flow.StateStarting {
		return
	}
	if s.State == flow.StateRestored {
		w.restored = append(w.restored, s.Client)
	}
	w.known(s.Client)
}

// keep stops waiting for clients that a reload has removed.
func (w *restoredWarning) keep(clients []*kept) {
	w.mu.Lock()
	defer w.mu.Unlock()
	active := byName(clients)
	for name := range w.starting {
		if active[name] == nil {
			w.known(name)
		}
	}
}

// known ends the wait for a client; w.mu is held.
func (w *restoredWarning) known(client string) {
	delete(w.starting, client)
	if len(w.starting) > 0 {
		return
	}
	w.starting = nil // an empty map keeps its memory
	select {
	case <-w.loaded:
	default:
		close(w.loaded)
	}
	if len(w.restored) == 0 {
		return
	}
	slices.Sort(w.restored)
	first := w.restored[0]
	w.log.Warn("an older copy of the store was put back, or its grants were exported: nothing is sent for these clients",
		"reason", "their refresh tokens may have been used since, or by another store", "clients", len(w.restored), "first", first,
		"hint", "tokend resume "+first+" if its refresh token was not used since; else tokend login "+first+"; tokend status lists the others")
	w.restored = nil
}
