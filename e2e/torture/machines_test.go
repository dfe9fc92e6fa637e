//go:build unix

package torture_test

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// intent returns a channel that is closed when the database has the intent of the next
// refresh: the first save that it notifies. Then the request is about to be sent.
func (r *round) intent() <-chan struct{} {
	heard := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	conn, err := pgx.Connect(ctx, r.db.DSN("postgres"))
	var id string
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT value FROM tokend_meta WHERE name = 'id'").Scan(&id)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "LISTEN tokend_"+id)
	}
	if err != nil {
		r.failf("%v", err)
	}
	go func() {
		defer cancel()
		for beat := true; beat && err == nil; {
			var n *pgconn.Notification
			if n, err = conn.WaitForNotification(ctx); err == nil {
				beat = n.Payload == "beat"
			}
		}
		close(heard)
		if conn != nil {
			_ = conn.Close(ctx) // the database may have ended
		}
	}()
	return heard
}

// stoppedAmong stops a process, every other time between its intent and its request if
// that can be hit. Another one continues its work, and refreshes until the stopped one
// continues.
func (r *round) stoppedAmong(victim int, intent <-chan struct{}, before view, from time.Time, answered chan struct{}) bool {
	at := time.After(r.millis(60))
	if r.rng.IntN(2) == 0 {
		at = time.After(time.Second)
	} else {
		intent = nil
	}
	select {
	case <-intent:
	case <-at:
	}
	p, other, pause := r.procs[victim], r.procs[r.another(victim)], r.pause()
	p.signal(syscall.SIGSTOP)
	began := time.Now()
	r.result.stops++
	r.logf("%s stopped for %.1f s", p.name, pause.Seconds())
	r.tenant.Disarm()
	back := r.recover(other, before, 0)
	r.result.lossy = append(r.result.lossy, window{from, time.Now()})
	for back && time.Since(began) < pause {
		a := other.refresh()
		r.report(a)
		if a.status != 200 {
			r.logf("%s answers %d %s", other.name, a.status, short(a))
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.signal(syscall.SIGCONT)
	r.logf("%s continues", p.name)
	<-answered
	return back && r.recover(p, r.reported(), 0)
}

// together lets all processes refresh at once. No answer is lost.
func (r *round) together(before view, answered chan struct{}) bool {
	var asked sync.WaitGroup
	for _, p := range r.procs {
		asked.Go(func() {
			a := p.refresh()
			r.report(a)
			if a.status != 200 {
				r.failf("%s answers %d %s", p.name, a.status, short(a))
			}
		})
	}
	asked.Wait()
	<-answered
	r.tenant.Disarm()
	return r.recover(r.procs[r.rng.IntN(len(r.procs))], before, 0)
}

// outage restarts the database during a refresh. The answer is spilled, and not
// sent for again unless the lease has ended.
func (r *round) outage(atOnce bool, before view, from time.Time, answered chan struct{}) bool {
	time.Sleep(r.millis(60))
	began := time.Now()
	if !r.databaseEnds(atOnce) {
		return false
	}
	time.Sleep(r.millis(1000))
	if !r.databaseStarts() {
		return false
	}
	down := time.Since(began)
	<-answered
	r.tenant.Disarm()
	back := r.recover(r.procs[r.rng.IntN(len(r.procs))], before, 0)
	if down > r.lease()/2 { // it is renewed every third
		r.result.lossy = append(r.result.lossy, window{from, time.Now()})
	}
	return back
}

func (r *round) databaseEnds(atOnce bool) bool {
	if err := r.db.Halt(atOnce); err != nil {
		r.failf("%v", err)
		return false
	}
	r.logf("the database has ended")
	return true
}

func (r *round) databaseStarts() bool {
	r.result.outages++
	if err := r.db.Resume(); err != nil {
		r.failf("%v", err)
		return false
	}
	r.logf("the database is back")
	return true
}

// allKilled kills all processes and starts them again after the overlap. If the
// answer was lost, a login is needed: the used token must not be sent.
func (r *round) allKilled(before view, from time.Time, answered chan struct{}) bool {
	time.Sleep(r.millis(60))
	for i := range r.procs {
		r.kill(i)
	}
	<-answered
	r.tenant.Disarm()
	paused := time.Duration(r.overlap+2) * time.Second
	time.Sleep(paused)
	for i := range r.procs {
		if !r.restart(i) {
			return false
		}
	}
	back := r.recover(r.procs[r.rng.IntN(len(r.procs))], before, paused)
	r.result.lossy = append(r.result.lossy, window{from, time.Now()})
	return back
}
