package flow

import (
	"context"
	"sync"
)

// tasks owns the goroutines of a client. They outlive the caller that started
// them, are bounded in time, and Run waits for them.
type tasks struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n reaches 0; nil while n is 0
}

func (t *tasks) start(f func()) {
	t.mu.Lock()
	if t.n++; t.n == 1 {
		t.idle = make(chan struct{})
	}
	t.mu.Unlock()
	go func() {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.n--; t.n == 0 {
				close(t.idle)
				t.idle = nil
			}
		}()
		f()
	}()
}

// wait returns when all tasks have ended.
func (t *tasks) wait() {
	t.mu.Lock()
	idle := t.idle
	t.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// shared is a value that is fetched at first use: one fetch in a context of its
// own, for all waiters, with the request id of the first. Errors are not kept.
type shared[T any] struct {
	mu    sync.Mutex
	value *T // nil: none yet
	call  *call[T]

	transient bool // successes are not kept either
}

type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func (s *shared[T]) get(ctx context.Context, ts *tasks, fetch func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	if s.value != nil {
		defer s.mu.Unlock()
		return *s.value, nil
	}
	c := s.call
	if c == nil {
		c = &call[T]{done: make(chan struct{})}
		s.call = c
		ts.start(func() {
			c.value, c.err = fetch(detached(ctx))
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.call = nil; c.err == nil && !s.transient {
				s.value = &c.value
			}
			close(c.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var zero T
		return zero, networkError("discovery", ctx.Err())
	}
}
