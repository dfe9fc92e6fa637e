package daemon

import (
	"context"
	"sync"
	"sync/atomic"

	"example.com/tokend/internal/keeper"
	"example.com/tokend/pkg/flow"
)

// lives keeps the clients of the active configuration, and waits for every client
// that was started.
type lives struct {
	keeper *keeper.Keeper

	mu       sync.Mutex
	begun    bool
	ended    bool
	stop     context.CancelFunc // ends the keeper
	kept     sync.WaitGroup     // the keeper
	retiring map[*life]bool     // retired, and still in use
	all      sync.WaitGroup     // clients that end
}

// begin starts the clients of the active configuration.
func (r *lives) begin(ctx context.Context, active *atomic.Pointer[api]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, r.stop = context.WithCancel(ctx)
	r.begun, r.retiring = true, map[*life]bool{}
	for _, cl := range active.Load().clients {
		r.start(cl.life)
	}
	r.kept.Go(func() { r.keeper.Run(ctx) })
}

// replace starts the clients that old did not have, and ends those that only old
// had; mu is held.
func (r *lives) replace(old, next *api) {
	kept := map[*life]bool{}
	for _, cl := range next.clients {
		kept[cl.life] = true
		if cl.life.entry == nil {
			r.start(cl.life)
		}
	}
	for _, cl := range old.clients {
		switch {
		case kept[cl.life]:
		case cl.life.retire():
			r.close(cl.life)
		default:
			r.retiring[cl.life] = true
		}
	}
}

// start keeps a client; mu is held.
func (r *lives) start(l *life) { l.entry = r.keeper.Add(l.client) }

// finish ends a client, in a goroutine that the end of the service waits for.
func (r *lives) finish(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close(l)
}

// close is finish with mu held.
func (r *lives) close(l *life) {
	delete(r.retiring, l)
	if l.entry != nil {
		l.entry.Remove()
	}
	if !r.ended {
		r.all.Go(func() { _ = l.client.Close() }) // the log has what it could not store
	}
}

// end ends every client and waits until each has stored its refresh in flight.
func (r *lives) end() {
	r.mu.Lock()
	for l := range r.retiring {
		r.close(l)
	}
	r.ended = true
	r.mu.Unlock()
	r.stop()
	r.kept.Wait()
	r.all.Wait()
}

// life is the lifetime of a client: until a configuration without it is active and
// no request waits for it. Closing it earlier would cancel a request that waits for
// the lease of another process.
type life struct {
	client *flow.Client
	of     *lives
	entry  *keeper.Entry // nil before it began; guarded by lives.mu

	mu      sync.Mutex
	uses    int
	retired bool
}

// use counts a request that waits for the client, until end is called.
func (l *life) use() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses++
	return l.used
}

func (l *life) used() {
	l.mu.Lock()
	l.uses--
	last := l.uses == 0 && l.retired
	l.mu.Unlock()
	if last {
		l.of.finish(l)
	}
}

// retire makes the last request that waits for the client end it. It returns true if
// none waits: then the caller ends it.
func (l *life) retire() (unused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired = true; l.uses == 0 {
		return true
	}
	return false
}
