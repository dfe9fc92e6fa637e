package main

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"example.com/tokend/internal/config"
	"example.com/tokend/internal/events"
	"example.com/tokend/pkg/flow"
)

// followEvents creates the hub that gets the events of the clients, and delivers them
// as on_event says, until the returned function is called, which waits.
func (s *serving) followEvents(ctx context.Context) (end func()) {
	s.hub = events.New(rand.Text(), s.log)
	s.hub.Sink(func(e events.Event) { s.metrics.Event(string(e.Kind)) })
	s.keeper.event, s.keeper.ending = s.hub.Publish, s.settings.OnEvent.GrantEnding
	t, ok := targetOf(s.settings.OnEvent)
	if !ok {
		return func() {}
	}
	d := events.NewDeliverer(t, time.Now, s.log)
	d.Lost = s.countLost
	s.hub.Sink(d.Add)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // clients have events until they have ended
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	return func() { stop(); running.Wait() }
}

// targetOf returns the target of on_event, if there is one.
func targetOf(o config.OnEvent) (events.Target, bool) {
	return events.Target{
		Command: o.Command, Env: o.Env, URL: o.URL, Types: o.Types,
		Key: func() (flow.Secret, error) { return config.ReadSecret(o.KeyFile) },
	}, o.Command != nil || o.URL != ""
}

// storeWatcher is a store that reports what other processes change.
type storeWatcher interface {
	Watch(ctx context.Context, changed func(key string)) error
}

// watchOf returns how to watch a store, nil if it cannot be watched.
func watchOf(store flow.Store) func(context.Context, func(string)) error {
	if w, ok := store.(storeWatcher); ok {
		return w.Watch
	}
	return nil
}
