package mock

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

const maxDeliveries = 256 // at a time

// errEnded is the cause of the canceled context of a delivery after a reset.
var errEnded = errors.New("the tenant was reset or closed")

// deliveries owns the goroutines that send logout tokens.
type deliveries struct {
	transport http.RoundTripper

	mu      sync.Mutex // guards the fields below
	current *batch
}

// batch is the deliveries since the last reset.
type batch struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
	count   int
}

func newDeliveries() *deliveries {
	return &deliveries{transport: &http.Transport{DisableKeepAlives: true}, current: newBatch()}
}

func newBatch() *batch {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &batch{ctx: ctx, cancel: cancel}
}

// start runs a delivery with its deadline. It returns false if too many run.
func (d *deliveries) start(deliver func(context.Context)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.current
	if b.count >= maxDeliveries {
		return false
	}
	b.count++
	b.running.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, logoutDeadline)
		defer cancel()
		deliver(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		b.count--
	})
	return true
}

// end cancels the running deliveries and waits for them. It does not affect later ones.
func (d *deliveries) end() {
	d.mu.Lock()
	old := d.current
	d.current = newBatch()
	d.mu.Unlock()
	old.cancel(errEnded)
	old.running.Wait()
}
