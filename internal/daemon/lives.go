package daemon

import (
	"context"
	"sync"
	"sync/atomic"

	"example.com/tokend/pkg/flow"
)

// lives runs the clients of the active configuration, and waits for every client
// that was started.
type lives struct {
	mu    sync.Mutex
	ctx   context.Context // of the clients; nil before begin
	stop  context.CancelFunc
	ended bool
	all   sync.WaitGroup
}

// begin starts the clients of the active configuration.
func (r *lives) begin(ctx context.Context, active *atomic.Pointer[api]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.stop = context.WithCancel(ctx)
	for _, cl := range active.Load().clients {
		r.start(cl.life)
	}
}

// replace starts the clients that old did not have, and ends those that only old
// had; mu is held.
func (r *lives) replace(old, next *api) {
	kept := map[*life]bool{}
	for _, cl := range next.clients {
		kept[cl.life] = true
		if cl.life.cancel == nil {
			r.start(cl.life)
		}
	}
	for _, cl := range old.clients {
		if !kept[cl.life] {
			cl.life.retire()
		}
	}
}

// start runs a client; mu is held.
func (r *lives) start(l *life) {
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(r.ctx)
	r.all.Go(func() { _ = l.client.Run(ctx) }) // it returns nil: failures are in the client's status
}

// finish waits for work that a client began before its Run ended, in a goroutine that
// the end of the service waits for.
func (r *lives) finish(c *flow.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.all.Go(func() { _ = c.Close() }) // it only waits
	}
}

// end ends every client and waits until each has stored its refresh in flight.
func (r *lives) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.stop()
	r.all.Wait()
}

// life is the lifetime of a client: until a configuration without it is active and
// no request waits for it. Ending its Run earlier would cancel a request that waits
// for the lease of another process.
type life struct {
	client *flow.Client
	of     *lives
	cancel context.CancelFunc // ends Run; nil before it began; guarded by lives.mu

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
		l.cancel()
		l.of.finish(l.client)
	}
}

// retire ends the client's Run as soon as no request waits for it.
func (l *life) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired = true; l.uses == 0 {
		l.cancel()
	}
}
