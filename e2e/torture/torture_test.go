//go:build unix

// Package torture_test kills, stops and cuts off real tokend processes at
// random, and checks that no refresh token is lost. "make torture" runs it.
package torture_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"example.com/tokend/e2e/internal/programs"
)

// bin is where the binaries are that the test starts.
var bin string

func TestMain(m *testing.M) { os.Exit(programs.Main(m, "../..", &bin)) }

const (
	sliceEvents    = 200 // events without TORTURE
	roundsPerCore  = 8   // at once
	restartGoal    = 3.0 // seconds from a restart to the next token, p99
	maxFullStories = 3   // rounds that failed are printed in full, the others by one line
)

// TestTorture runs rounds until enough has happened: TORTURE kills, or 200
// events without it. TORTURE_SEED repeats a run, TORTURE_ROUND one of its
// rounds, TORTURE_TABLE names a file for the table.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	seed := number(t, "TORTURE_SEED", rand.Uint64N(1_000_000))
	rounds := plans(t, seed)
	t.Logf("seed %d, %d rounds", seed, len(rounds))
	atOnce := make(chan struct{}, roundsPerCore*runtime.GOMAXPROCS(0))
	var running sync.WaitGroup
	for _, r := range rounds {
		running.Go(func() {
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			r.run()
		})
	}
	running.Wait()
	stories(t, rounds, seed)
	rows := rowsOf(rounds)
	all := rows[len(rows)-1]
	table := markdown(rows)
	t.Logf("seed %d, %d events in %d rounds\n%s", seed, all.events, all.rounds, table)
	if name := os.Getenv("TORTURE_TABLE"); name != "" {
		if err := os.WriteFile(name, []byte(table), 0o644); err != nil { //nolint:gosec // a table for everyone
			t.Error(err)
		}
	}
	if p99 := all.quantile(0.99); p99 > restartGoal {
		t.Errorf("p99 of the seconds from a restart to the next token is %.2f; the goal is %.0f", p99, restartGoal)
	}
}

// full reports whether this is "make torture", not the slice of go test.
func full() bool { return os.Getenv("TORTURE") != "" }

// longestStop is the longest SIGSTOP in milliseconds.
func longestStop() int {
	if full() {
		return 40_000
	}
	return 15_000
}

// plans are the rounds that the environment asks for.
func plans(t *testing.T, seed uint64) []*round {
	t.Helper()
	if os.Getenv("TORTURE_ROUND") != "" {
		return []*round{{plan: newPlan(seed, int(number(t, "TORTURE_ROUND", 0)))}} //nolint:gosec // small
	}
	kills, events := int(number(t, "TORTURE", 0)), 0 //nolint:gosec // small
	var rounds []*round
	for kills > 0 || !full() && events < sliceEvents {
		r := &round{plan: newPlan(seed, len(rounds))}
		rounds = append(rounds, r)
		kills -= r.count(kill)
		events += len(r.events)
	}
	return rounds
}

// stories prints the rounds that failed.
func stories(t *testing.T, rounds []*round, seed uint64) {
	t.Helper()
	printed := 0
	for _, r := range rounds {
		if len(r.problems) == 0 {
			continue
		}
		if printed++; printed <= maxFullStories {
			t.Error(r.story(seed))
		} else {
			t.Errorf("round %d (%d processes, overlap %d s): %s", r.number, r.processes, r.overlap, r.problems[0])
		}
	}
	if printed > 0 {
		t.Errorf("%d of %d rounds failed", printed, len(rounds))
	}
}

// number is a variable of the environment, or otherwise.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}
