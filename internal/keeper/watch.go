package keeper

import (
	"context"
	"errors"
	"time"
)

// watch learns of changes by other processes until ctx ends.
func (k *Keeper) watch(ctx context.Context) {
	for ctx.Err() == nil {
		k.setWatching(true)
		err := k.cfg.Watch(ctx, k.changed)
		if ctx.Err() != nil {
			return
		}
		k.setWatching(false)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		k.cfg.Log.Warn("cannot watch the store: reading it from time to time", "error", err)
		t := time.NewTimer(watchPause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// setWatching begins or ends the reads of the clients that wait for a person. Reads
// that were planned happen, so that a Watch that fails at once does not prevent them.
func (k *Keeper) setWatching(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watching == on {
		return
	}
	k.watching = on
	for _, e := range k.entries {
		if !on && e.state == idle && e.index < 0 {
			k.heap.push(e, k.readAt().UnixNano())
		}
	}
	k.signal()
}

// changed reloads the client of a key, or, step by step, all.
func (k *Keeper) changed(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entries[key]; e != nil {
		k.read(e)
	}
	if key == "" {
		k.sweep = k.all()
	}
	k.signal()
}

// sweepSome reloads a part of the clients to reload; mu is held.
func (k *Keeper) sweepSome(now time.Time) {
	if len(k.sweep) == 0 || now.Sub(k.swept) < sweepGap && !now.Before(k.swept) {
		return
	}
	n := min(len(k.sweep), sweepPart)
	for _, e := range k.sweep[:n] {
		k.read(e)
	}
	k.sweep, k.swept = k.sweep[n:], now
	if len(k.sweep) == 0 {
		k.sweep = nil
	}
}

// read makes an entry read the store; mu is held.
func (k *Keeper) read(e *Entry) {
	if e.state == removed || k.ended {
		return
	}
	e.client.Reload()
	k.replan(e)
}
