//go:build unix

// Package torture_test kills, stops and cuts off real tokend processes at
// random, and checks that no refresh token is lost. "make torture" runs it;
// STORE=postgres: on several machines with one database.
package torture_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"example.com/tokend/e2e/internal/programs"
	"example.com/tokend/internal/store/postgres/pgtest"
)

// bin is where the binaries are that the test starts.
var bin string

func TestMain(m *testing.M) { os.Exit(programs.Main(m, "../..", &bin)) }

const (
	restartGoal    = 3.0 // seconds to the next token, p99: from a restart, or from the end of a killed process's lease
	maxFullStories = 3   // rounds that failed are printed in full, the others by one line
)

// TestTorture runs rounds until enough has happened: TORTURE kills, on a database
// kills and stops, of the processes on TORTURE_STORE; or a slice on each store
// without them. TORTURE_SEED repeats a run, TORTURE_ROUND one of its rounds,
// TORTURE_TABLE names a file for the table.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	for _, s := range chosen(t) {
		t.Run(s.store, func(t *testing.T) { s.run(t) })
	}
}

// chosen are the scenarios of the stores that the environment asks for.
func chosen(t *testing.T) []*scenario {
	t.Helper()
	wanted := os.Getenv("TORTURE_STORE")
	if wanted == "" && full() {
		wanted = "sqlite"
	}
	var list []*scenario
	for i := range scenarios {
		if wanted == "" || wanted == scenarios[i].store {
			list = append(list, &scenarios[i])
		}
	}
	if len(list) == 0 {
		t.Fatalf("TORTURE_STORE=%q is neither sqlite nor postgres", wanted)
	}
	return list
}

func (s *scenario) run(t *testing.T) {
	if s.store == "postgres" {
		pgtest.Require(t)
	}
	seed := number(t, "TORTURE_SEED", rand.Uint64N(1_000_000))
	rounds := plans(t, s, seed)
	t.Logf("seed %d, %d rounds", seed, len(rounds))
	atOnce := make(chan struct{}, s.perCore*runtime.GOMAXPROCS(0))
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
	rows := rowsOf(s, rounds)
	all := rows[len(rows)-1]
	table := markdown(rows)
	t.Logf("seed %d, %d events in %d rounds\n%s", seed, all.events, all.rounds, table)
	if name := os.Getenv("TORTURE_TABLE"); name != "" {
		if err := os.WriteFile(name, []byte(table), 0o644); err != nil { //nolint:gosec // a table for everyone
			t.Error(err)
		}
	}
	for _, w := range rows[:len(rows)-1] {
		goal := restartGoal
		if s.store == "postgres" {
			goal += w.lease // only its end frees the lease of a process on another machine
		}
		if p99 := w.quantile(0.99); p99 > goal {
			t.Errorf("overlap %s: p99 of the seconds to the next token is %.2f; the goal is %.1f", w.name, p99, goal)
		}
	}
}

// full reports whether this is "make torture", not the slice of go test.
func full() bool { return os.Getenv("TORTURE") != "" }

// plans are the rounds that the environment asks for.
func plans(t *testing.T, s *scenario, seed uint64) []*round {
	t.Helper()
	if os.Getenv("TORTURE_ROUND") != "" {
		return []*round{{plan: newPlan(s, seed, int(number(t, "TORTURE_ROUND", 0)))}} //nolint:gosec // small
	}
	strikes := int(number(t, "TORTURE", 0)) //nolint:gosec // small
	var rounds []*round
	for strikes > 0 || !full() && len(rounds) < s.sliceRounds {
		r := &round{plan: newPlan(s, seed, len(rounds))}
		rounds = append(rounds, r)
		strikes -= r.strikes()
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
