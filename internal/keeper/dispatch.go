package keeper

import (
	"slices"
	"time"
)

// lane is a queue of entries with a limit: of the clients of one issuer, for requests;
// or of all clients, for plans.
type lane struct {
	issuer  string
	clients int
	limit   int           // entries that run at the same time
	gap     time.Duration // between the starts of two; 0: none

	queue   fifo[*Entry]
	running int
	next    time.Time // the next start; earlier by up to limit × gap after a pause
	offered bool      // in Keeper.ready or Keeper.paced
}

// offer adds a lane to those that may start a request; mu is held.
func (k *Keeper) offer(l *lane) {
	if !l.offered && l.queue.len() > 0 && l.running < l.limit {
		l.offered = true
		k.ready.push(l)
	}
}

// dispatch starts what is due, and returns when it must be called again at the
// latest; mu is held.
func (k *Keeper) dispatch() time.Duration {
	if k.ended || k.ctx == nil || k.ctx.Err() != nil {
		return clockCheck
	}
	now := k.cfg.Now()
	k.checkClock(now)
	for e := k.heap.due(now); e != nil; e = k.heap.due(now) {
		if e.reads {
			k.read(e)
			continue
		}
		k.enqueue(e.lane, e)
	}
	k.sweepSome(now)
	for k.plans.queue.len() > 0 && k.plans.running < k.plans.limit {
		k.start(k.plans, now)
	}
	k.unpace(now)
	for k.ready.len() > 0 && k.running < k.cfg.Workers {
		l := k.ready.pop()
		l.offered = false
		if l.gap > 0 && l.next.After(now) {
			l.offered = true
			k.paced = append(k.paced, l)
			continue
		}
		k.start(l, now)
		k.offer(l)
	}
	return k.wait(now)
}

// unpace offers the lanes whose pause is over; mu is held.
func (k *Keeper) unpace(now time.Time) {
	k.paced = slices.DeleteFunc(k.paced, func(l *lane) bool {
		if left := l.next.Sub(now); left > l.gap { // the clock was set back
			l.next = now
		} else if left > 0 {
			return false
		}
		k.ready.push(l)
		return true
	})
}

// wait returns when dispatch has something to do; mu is held.
func (k *Keeper) wait(now time.Time) time.Duration {
	d := k.heap.wait(now, clockCheck)
	for _, l := range k.paced {
		d = min(d, l.next.Sub(now))
	}
	if len(k.sweep) > 0 {
		d = min(d, sweepGap)
	}
	k.armed = now.Add(max(d, 0))
	return max(d, 0)
}

// start runs the first entry of a lane; mu is held.
func (k *Keeper) start(l *lane, now time.Time) {
	e := l.queue.pop()
	if e.state == removed {
		return
	}
	if earliest := now.Add(-time.Duration(l.limit) * l.gap); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(l.gap)
	e.state = running
	l.running++
	run := e.client.Next
	if l != k.plans {
		run = e.client.Step
		k.running++
	}
	ctx := k.ctx
	k.work.Go(func() {
		at := run(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		l.running--
		if l != k.plans {
			k.running--
		}
		k.planned(e, at)
		if l != k.plans {
			k.offer(l)
		}
		if k.dispatchAgain() {
			k.signal()
		}
	})
}

// dispatchAgain dispatches after a worker has ended, and reports whether the loop must
// wake up earlier than it would; mu is held.
func (k *Keeper) dispatchAgain() bool {
	armed := k.armed
	k.dispatch()
	return k.armed.Before(armed)
}

// checkClock plans every client again if the wall clock was set, or stood still while
// the machine slept; mu is held.
func (k *Keeper) checkClock(now time.Time) {
	elapsed := k.cfg.Elapsed()
	if elapsed-k.elapsed < clockCheck {
		return
	}
	drift := now.Round(0).Sub(k.checked.Round(0)) - (elapsed - k.elapsed)
	k.checked, k.elapsed = now, elapsed
	if drift.Abs() < clockSet {
		return
	}
	k.cfg.Log.Info("the clock was set: planning all clients again", "by", drift.Round(time.Second))
	for _, e := range k.entries {
		k.replan(e)
	}
}
