package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"example.com/tokend/internal/events"
	"example.com/tokend/internal/metrics"
	"example.com/tokend/internal/store"
	"example.com/tokend/internal/trace"
	"example.com/tokend/pkg/flow"
)

// measure makes the clients count their refreshes and what they do in the store.
func (s *serving) measure() {
	notified := func() bool { return true }
	if lost := s.grants.WatchErrors(); lost != nil {
		notified = func() bool { return lost() == nil }
	}
	s.metrics = metrics.New(buildVersion(), notified)
	s.keeper.grants = measuredStore{s.grants, s.metrics, s.trace}
	s.keeper.refreshed = func(r flow.Refresh) {
		s.metrics.Refreshed(r.Client, string(cmp.Or(r.Class, "success")), r.Took)
	}
}

// ping reports whether the store answers.
func (s *serving) ping(ctx context.Context) error {
	return measuredStore{s.grants, s.metrics, s.trace}.ping(ctx)
}

// countLost counts an event that on_event did not get.
func (s *serving) countLost(reason error) {
	if errors.Is(reason, events.ErrDropped) {
		s.metrics.Undelivered(metrics.Dropped)
		return
	}
	s.metrics.Undelivered(metrics.Failed)
}

// measuredStore is a store whose operations are counted, and each save is a span.
type measuredStore struct {
	*store.Store
	metrics *metrics.Metrics
	trace   *trace.Tracer
}

// Load implements [flow.Store].
func (m measuredStore) Load(ctx context.Context, key string) (*flow.Grant, error) {
	began := time.Now()
	g, err := m.Store.Load(ctx, key)
	m.done(metrics.OpLoad, began, err)
	return g, err
}

// Save implements [flow.Store].
func (m measuredStore) Save(ctx context.Context, l flow.Lease, g *flow.Grant) error {
	began := time.Now()
	ctx, span := m.trace.Begin(ctx, "store_save")
	err := m.Store.Save(ctx, l, g)
	span.Ended(classOfSave(err))
	m.done(metrics.OpSave, began, err)
	return err
}

// Lock implements [flow.Store].
func (m measuredStore) Lock(ctx context.Context, key string, d time.Duration) (flow.Lease, error) {
	began := time.Now()
	l, err := m.Store.Lock(ctx, key, d)
	m.done(metrics.OpLock, began, err)
	return l, err
}

func (m measuredStore) ping(ctx context.Context) error {
	began := time.Now()
	err := m.Ping(ctx)
	m.done(metrics.OpPing, began, err)
	return err
}

// done counts an operation. What another process has done, or the absence of a grant, is
// no failure of the store.
func (m measuredStore) done(op string, began time.Time, err error) {
	failed := err != nil && !errors.Is(err, flow.ErrNotFound) && !errors.Is(err, flow.ErrLocked) &&
		!errors.Is(err, flow.ErrConflict) && !errors.Is(err, context.Canceled)
	m.metrics.Stored(op, time.Since(began), failed)
}
