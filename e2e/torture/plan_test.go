//go:build unix

package torture_test

import (
	"math/rand/v2"
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
)

// weights are how often a kind happens, of 100.
var weights = []struct {
	kind   kind
	weight int
}{{kill, 77}, {stop, 8}, {reset, 5}, {truncate, 4}, {unavailable, 4}, {delay, 2}}

// eventsPerRound is how many events a round has.
const eventsPerRound = 12

// overlaps are the tenant's overlaps in seconds, one for each round in turn.
var overlaps = []int{10, 30, 60, 0}

// plan is what the seed decides of a round before it starts.
type plan struct {
	number    int
	overlap   int // seconds
	processes int
	events    []kind
	rng       *rand.Rand // of everything else that is decided at random
}

func newPlan(seed uint64, number int) plan {
	p := plan{number: number, overlap: overlaps[number%len(overlaps)], rng: rand.New(rand.NewPCG(seed, uint64(number)))} //nolint:gosec // repeatable on purpose
	p.processes = 1 + p.rng.IntN(4)
	for range eventsPerRound {
		n := p.rng.IntN(100)
		for _, w := range weights {
			if n -= w.weight; n < 0 {
				p.events = append(p.events, w.kind)
				break
			}
		}
	}
	return p
}

func (p plan) count(k kind) int {
	n := 0
	for _, e := range p.events {
		if e == k {
			n++
		}
	}
	return n
}

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
