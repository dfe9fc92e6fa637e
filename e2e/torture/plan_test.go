//go:build unix

package torture_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"example.com/tokend/pkg/mock"
)

// kind is what happens to a round.
type kind string

const (
	kill        kind = "kill -9"
	stop        kind = "SIGSTOP"
	reset       kind = "answer dropped"
	truncate    kind = "answer truncated"
	delay       kind = "answer delayed 16 s"
	unavailable kind = "503 after commit"

	// Of several machines only.
	together     kind = "all refresh at once"
	restart      kind = "database restarted"
	crash        kind = "database crashed"
	crashAndKill kind = "database crashed and kill -9"
	allKilled    kind = "all killed for longer than the overlap"
)

// scenario is what the rounds on one kind of store are made of.
type scenario struct {
	store       string
	overlaps    []int // of the tenant in seconds, one for each round in turn
	fewest      int   // processes
	events      int   // of a round
	sliceRounds int   // this and the two that follow: without TORTURE
	sliceEvents int
	sliceStop   time.Duration
	maxPosts    int // of one refresh token
	perCore     int // rounds at once
	weights     []weight
	counted     []kind // of which TORTURE is the number
}

// weight is how often a kind happens, of 100.
type weight struct {
	kind   kind
	weight int
}

// scenarios: the processes of a round share a SQLite file on one machine, or a
// PostgreSQL database, each on a machine of its own.
var scenarios = []scenario{
	{
		store: "sqlite", overlaps: []int{10, 30, 60, 0}, fewest: 1, events: 12, sliceRounds: 17, sliceEvents: 12, sliceStop: 15 * time.Second, maxPosts: 3, perCore: 8,
		weights: []weight{{kill, 77}, {stop, 8}, {reset, 5}, {truncate, 4}, {unavailable, 4}, {delay, 2}},
		counted: []kind{kill},
	},
	{
		store: "postgres", overlaps: []int{10, 30}, fewest: 4, events: 12, sliceRounds: 8, sliceEvents: 6, sliceStop: 6 * time.Second, maxPosts: 2, perCore: 6,
		weights: []weight{
			{kill, 58},
			{stop, 12},
			{together, 8},
			{crash, 5},
			{restart, 4},
			{crashAndKill, 4},
			{reset, 3},
			{truncate, 2},
			{unavailable, 1},
			{delay, 1},
			{allKilled, 2},
		},
		counted: []kind{kill, stop, crashAndKill},
	},
}

// plan is what the seed decides of a round before it starts.
type plan struct {
	*scenario

	number    int
	overlap   int // seconds
	processes int
	planned   []kind
	rng       *rand.Rand // of everything else that is decided at random
}

func newPlan(s *scenario, seed uint64, number int) plan {
	p := plan{scenario: s, number: number, overlap: s.overlaps[number%len(s.overlaps)], rng: rand.New(rand.NewPCG(seed, uint64(number)))} //nolint:gosec // repeatable on purpose
	p.processes = s.fewest + p.rng.IntN(5-s.fewest)
	events := s.events
	if !full() {
		events = s.sliceEvents
	}
	for range events {
		n := p.rng.IntN(100)
		for _, w := range s.weights {
			if n -= w.weight; n < 0 {
				p.planned = append(p.planned, w.kind)
				break
			}
		}
	}
	return p
}

// strikes are how many of the events TORTURE counts.
func (p plan) strikes() int {
	n := 0
	for _, e := range p.planned {
		if slices.Contains(p.counted, e) {
			n++
		}
	}
	return n
}

// lease is how long tokend holds a lease: a third of the overlap.
func (p plan) lease() time.Duration {
	return max(time.Second, min(10*time.Second, time.Duration(p.overlap)*time.Second/3))
}

// longestStop is the longest SIGSTOP.
func (p plan) longestStop() time.Duration {
	if full() {
		return 40 * time.Second
	}
	return p.sliceStop
}

// shared reports whether the processes are on several machines.
func (p plan) shared() bool { return p.store == "postgres" }

// another is a process other than i.
func (p plan) another(i int) int { return (i + 1 + p.rng.IntN(p.processes-1)) % p.processes }

// millis is a random time of up to most milliseconds.
func (p plan) millis(most int) time.Duration {
	return time.Duration(p.rng.IntN(most*1000)) * time.Microsecond
}

// fault is what the tenant does to the next refresh while an event happens.
// Each fault loses at most one answer.
func (p plan) fault(k kind) mock.Fault {
	f := mock.Fault{Endpoint: "token", Grant: "refresh_token", Times: 1, AfterCommit: true}
	switch k {
	case reset:
		f.Kind = mock.FaultReset
	case truncate:
		f.Kind = mock.FaultTruncate
	case unavailable:
		f.Kind, f.Status = mock.FaultStatus, 503
	case delay:
		f.Kind, f.Delay = mock.FaultDelay, "16s"
	default: // the process dies or stops before or after the tenant's commit
		f.Kind, f.Delay, f.AfterCommit = mock.FaultDelay, (time.Millisecond + p.millis(40)).String(), p.rng.IntN(3) > 0
	}
	return f
}
