//go:build unix

package torture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/tokend/internal/store/postgres/pgtest"
	"example.com/tokend/pkg/mock"
)

// round is one grant at a tenant of its own, one store, and the processes that
// share it.
type round struct {
	plan
	tenant *mock.Tenant
	db     *pgtest.Cluster // nil: the store is a file
	dir    string
	procs  []*process
	past   []*process // killed
	began  time.Time
	result result

	mu       sync.Mutex // guards what follows
	timeline []entry
	problems []string
	highest  view // of all that any process has reported
}

// entry is a line of the timeline, and how often it came in a row.
type entry struct {
	first time.Duration
	text  string
	times int
}

func (e entry) String() string {
	if e.times > 1 {
		return fmt.Sprintf("%8.3f  %s (%d times)", e.first.Seconds(), e.text, e.times)
	}
	return fmt.Sprintf("%8.3f  %s", e.first.Seconds(), e.text)
}

// window is a time in which an answer may have been lost.
type window struct{ from, to time.Time }

// result is what a round contributes to the table.
type result struct {
	kills, stops, logins int
	outages              int // restarts and crashes of the database
	lossy                []window
	restarts             []float64 // seconds from a restart, or of several machines from a kill, to the next fresh token
	traffic              traffic
}

func (r *round) logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if last := len(r.timeline) - 1; last >= 0 && r.timeline[last].text == text {
		r.timeline[last].times++
		return
	}
	r.timeline = append(r.timeline, entry{time.Since(r.began), text, 1})
}

// failf records a broken promise; the round continues.
func (r *round) failf(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	r.logf("FAILED: %s", what)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, what)
}

// report takes in what a process says of the grant.
func (r *round) report(a answer) {
	if strings.Contains(a.body, "store_corrupt") {
		r.failf("store_corrupt: %s", a.body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.status == 200 && a.view.newer(r.highest) {
		r.highest = a.view
	}
}

func (r *round) reported() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.highest
}

// run runs the round to its end.
func (r *round) run() {
	r.began = time.Now()
	dir, err := os.MkdirTemp("", "tokend-torture")
	if err != nil {
		r.failf("%v", err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var end cleanup
	defer end.run()
	r.dir, r.tenant = dir, newTenant(&end, r.overlap)
	if r.shared() {
		if r.db, err = pgtest.Start(); err != nil {
			r.failf("%v", err)
			return
		}
		defer func() { _ = r.db.Stop() }()
	}
	defer func() {
		for _, p := range r.procs {
			p.kill()
		}
	}()
	if !r.start() {
		return
	}
	polling := r.poll()
	for _, k := range r.planned {
		if !r.event(k) {
			break
		}
	}
	polling()
	r.finish()
	r.result.traffic = r.checkTraffic()
}

// start starts the processes; the first one logs in.
func (r *round) start() bool {
	for i := range r.processes {
		p, err := r.startProcess(fmt.Sprintf("p%d", i))
		if err != nil {
			r.failf("%v", err)
			return false
		}
		r.procs = append(r.procs, p)
		if a := p.ask("GET", "/token", "", 45*time.Second); a.status != 200 {
			r.failf("no token at the start: %d %s", a.status, a.body)
			return false
		}
		r.report(p.state())
	}
	r.logf("%d processes, overlap %d s", r.processes, r.overlap)
	return true
}

// startProcess starts a process, on a machine of its own where the store is a
// database: then it has only that and the store key in common with the others.
func (r *round) startProcess(name string) (*process, error) {
	deviation := func(err error) { r.failf("%v", err) }
	if r.db == nil {
		return startProcess(name, r.dir, environment(r.dir, r.tenant.Issuer(), r.overlap), deviation)
	}
	home := filepath.Join(r.dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	env := append(environment(home, r.tenant.Issuer(), r.overlap), "TOKEND_STORE="+r.db.DSN("postgres"), "TOKEND_STORE_KEY_FILE="+filepath.Join(r.dir, "keyset.json"))
	return startProcess(name, home, env, deviation)
}

// poll reads the state of each process in turn until the function it returns
// is called. What a process reports must be in the store at the end.
func (r *round) poll() (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			r.mu.Lock()
			p := r.procs[i%len(r.procs)]
			r.mu.Unlock()
			r.report(p.state())
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// event lets one thing happen around a forced refresh and waits until the
// grant works again. It is false when the round cannot go on.
func (r *round) event(k kind) bool {
	before, from := r.reported(), time.Now()
	if _, err := r.tenant.Fail(r.fault(k)); err != nil {
		r.failf("%v", err)
		return false
	}
	victim := r.rng.IntN(len(r.procs))
	asked := victim
	if r.rng.IntN(5) == 0 {
		asked = r.rng.IntN(len(r.procs))
	}
	var intent <-chan struct{}
	if k == stop && r.shared() {
		intent = r.intent()
	}
	r.logf("%s: %s refreshes, %s is hit", k, r.procs[asked].name, r.procs[victim].name)
	answered := r.refreshBy(r.procs[asked])
	paused := time.Duration(0)
	switch k {
	case kill:
		time.Sleep(r.millis(60))
		return r.killed(victim, before, from, answered)
	case stop:
		if r.shared() {
			return r.stoppedAmong(victim, intent, before, from, answered)
		}
		paused = r.stopped(r.procs[victim])
	case together:
		return r.together(before, answered)
	case crash, restart:
		return r.outage(k == crash, before, from, answered)
	case crashAndKill:
		time.Sleep(r.millis(60))
		if !r.databaseEnds(true) {
			return false
		}
		time.Sleep(r.millis(200))
		return r.databaseStarts() && r.killed(victim, before, from, answered)
	case allKilled:
		return r.allKilled(before, from, answered)
	case delay:
		paused = 16 * time.Second
	}
	<-answered
	r.tenant.Disarm()
	back := r.recover(r.procs[r.rng.IntN(len(r.procs))], before, paused)
	r.result.lossy = append(r.result.lossy, window{from, time.Now()})
	return back
}

// refreshBy forces a refresh at p; the channel is closed after the answer.
func (r *round) refreshBy(p *process) chan struct{} {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		a := p.refresh()
		r.report(a)
		r.logf("%s answers %d %s", p.name, a.status, short(a))
	}()
	return answered
}

// killed kills a process and measures how long the next token takes: from the
// process, which is started again 0.2 s later, or from one on another machine.
func (r *round) killed(victim int, before view, from time.Time, answered chan struct{}) bool {
	began := time.Now()
	r.kill(victim)
	r.tenant.Disarm()
	by, later := victim, r.shared() && r.rng.IntN(2) == 0
	if later {
		by = r.another(victim)
	} else {
		time.Sleep(200 * time.Millisecond)
		if !r.shared() {
			began = time.Now()
		}
		if !r.restart(victim) {
			return false
		}
	}
	logins := r.result.logins
	back := r.recover(r.procs[by], before, 0)
	if back && logins == r.result.logins {
		r.result.restarts = append(r.result.restarts, time.Since(began).Seconds())
	}
	<-answered
	r.result.lossy = append(r.result.lossy, window{from, time.Now()})
	if later && !r.restart(victim) {
		return false
	}
	return back
}

// kill kills a process, which must not have ended by itself.
func (r *round) kill(victim int) {
	p := r.procs[victim]
	select {
	case <-p.ended:
		r.failf("%s ended by itself: %s", p.name, p.cmd.ProcessState)
	default:
	}
	p.kill()
	r.result.kills++
	r.logf("%s killed", p.name)
}

// restart replaces a process that was killed.
func (r *round) restart(victim int) bool {
	old := r.procs[victim]
	p, err := r.startProcess(old.name)
	if err != nil {
		r.failf("%v", err)
		return false
	}
	r.mu.Lock()
	r.past, r.procs[victim] = append(r.past, old), p
	r.mu.Unlock()
	return true
}

// stopped stops a process for a while.
func (r *round) stopped(p *process) time.Duration {
	time.Sleep(r.millis(60))
	pause := r.pause()
	p.signal(syscall.SIGSTOP)
	r.result.stops++
	r.logf("%s stopped for %.1f s", p.name, pause.Seconds())
	time.Sleep(pause)
	p.signal(syscall.SIGCONT)
	r.logf("%s continues", p.name)
	return pause
}

// pause is how long a process is stopped.
func (r *round) pause() time.Duration {
	return time.Second + r.millis(int(r.longestStop().Milliseconds())-1000)
}

// recover asks p for refreshes until it has a fresh token. Where the overlap is
// over and the outcome of the last exchange is unknown, it logs in: that is the
// one login that a lost answer may cost. paused is how long the answer was held
// back.
func (r *round) recover(p *process, before view, paused time.Duration) bool {
	refused := 0
	for deadline := time.Now().Add(100 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		a := p.refresh()
		r.report(a)
		if a.status == 200 && a.view.newer(before) {
			r.logf("%s has a fresh token: %s", p.name, a.view)
			return true
		}
		r.logf("%s answers %d %s", p.name, a.status, short(a))
		// A process that lags answers 200 with the token of another one.
		if a.status == 200 || strings.Contains(a.body, "lease_busy") || time.Since(r.lastExchange()) < time.Duration(r.overlap+2)*time.Second {
			continue
		}
		if refused++; refused >= 2 {
			return r.logIn(p, before, paused)
		}
	}
	r.failf("no fresh token and no login after 100 s")
	return false
}

// logIn replaces a grant whose state is unknown. Within an overlap it should
// not be needed, unless the answer was held back for longer than the overlap.
func (r *round) logIn(p *process, before view, paused time.Duration) bool {
	r.result.logins++
	if r.overlap > 0 && paused < time.Duration(r.overlap)*time.Second {
		r.failf("a login is needed in spite of an overlap of %d s", r.overlap)
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(time.Second) {
		a := p.login()
		r.report(a)
		if a.status == 200 && a.view.newer(before) {
			r.logf("%s has logged in: %s", p.name, a.view)
			return true
		}
		r.logf("%s: login answers %d %s", p.name, a.status, short(a))
	}
	r.failf("no login within 60 s")
	return false
}

// lastExchange is when the tenant last exchanged a refresh token.
func (r *round) lastExchange() time.Time {
	families := r.tenant.Families()
	return families[len(families)-1].Seen
}

// finish checks the processes and the store after the last event: calm
// refreshes work, SIGTERM ends with 0, and a fresh process has everything that
// was ever reported.
func (r *round) finish() {
	for range 2 {
		p := r.procs[r.rng.IntN(len(r.procs))]
		if !r.recover(p, r.reported(), 0) {
			break
		}
	}
	for _, p := range r.procs {
		if err := p.terminate(); err != nil {
			r.failf("%v\n%s", err, p.logTail(15))
		}
	}
	p, err := r.startProcess("last")
	if err != nil {
		r.failf("%v", err)
		return
	}
	highest := r.reported()
	r.procs = append(r.procs, p)
	var a answer
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if a = p.state(); a.view.Generation > 0 {
			break
		}
	}
	if highest.newer(a.view) {
		r.failf("the store has %s, but a process has reported %s", a.view, highest)
	}
	r.recover(p, a.view, 0)
	if err := p.terminate(); err != nil {
		r.failf("%v\n%s", err, p.logTail(15))
	}
	for _, p := range append(r.past, r.procs...) {
		if strings.Contains(p.log.String(), "store_corrupt") {
			r.failf("%s logs store_corrupt", p.name)
		}
	}
}

// short is an answer's essence for the timeline.
func short(a answer) string {
	if a.status == 200 {
		return a.view.String()
	}
	body, _, _ := strings.Cut(a.body, `,"client":`) // what follows counts seconds
	return body[:min(len(body), 200)]
}
