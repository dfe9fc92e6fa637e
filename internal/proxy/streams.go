package proxy

import (
	"context"
	"sync"
)

// streams are the forwarded requests that have not ended. A server does not wait
// for a connection that was upgraded, so streams does.
type streams struct {
	mu    sync.Mutex
	open  map[int]context.CancelFunc
	next  int
	ended bool
	all   sync.WaitGroup
}

// begin counts a request until end is called.
func (s *streams) begin(parent context.Context) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(parent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		cancel()
		return ctx, func() {}
	}
	if s.open == nil {
		s.open = map[int]context.CancelFunc{}
	}
	s.next++
	id := s.next
	s.open[id] = cancel
	s.all.Add(1)
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, id)
		s.all.Done()
	}
}

// end waits for the streams, and cuts them off when ctx ends.
func (s *streams) end(ctx context.Context) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.all.Wait()
	}()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for _, cancel := range s.open {
		cancel()
	}
	s.mu.Unlock()
	<-idle
}
