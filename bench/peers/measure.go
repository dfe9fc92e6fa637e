package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	warmUp = 8 // turns before the first one that counts: Node.js compiles what is hot

	opFlow    = "code flow"
	opRefresh = "refresh"
	opMachine = "client credentials, repeated within a second"
)

// measureOperations lets the mocks take turns with each operation.
func measureOperations(ctx context.Context, r *results, mocks []mock, o options) error {
	all, err := startAll(ctx, mocks)
	if err != nil {
		return err
	}
	defer func() { stopAll(all) }()
	samples := map[string]map[string][]float64{opFlow: {}, opRefresh: {}, opMachine: {}}
	signatures := map[string][]float64{}
	for round := range warmUp + o.rounds {
		for _, m := range all {
			took, err := m.turn(ctx, o.ops)
			if err != nil {
				return fmt.Errorf("%s: %w", m.mock.name, err)
			}
			for op, ms := range took {
				if round >= warmUp {
					samples[op][m.mock.name] = append(samples[op][m.mock.name], ms)
				}
			}
		}
		for name, ms := range signTurn(o.ops) {
			signatures[name] = append(signatures[name], ms)
		}
	}
	for _, op := range []string{opFlow, opRefresh, opMachine} {
		r.add(op, "CPU ms", medians(samples[op]))
	}
	r.add("one RS256 signature", "CPU ms", medians(signatures))
	after := map[string]float64{}
	for _, m := range all {
		if after[m.mock.name], err = m.resident(); err != nil {
			return err
		}
	}
	r.add(fmt.Sprintf("resident after %d flows", (warmUp+o.rounds)*o.ops), "MiB", after)
	return nil
}

// turn is a number of operations of each kind. It returns the CPU time of each in ms.
func (m *running) turn(ctx context.Context, ops int) (map[string]float64, error) {
	took := map[string]float64{}
	var tokens []string
	timed := func(op string, step func(i int) error) error {
		before, err := m.cpu()
		if err != nil {
			return err
		}
		for i := range ops {
			if err := step(i); err != nil {
				return err
			}
		}
		after, err := m.cpu()
		took[op] = float64((after - before).Microseconds()) / 1000 / float64(ops)
		return err
	}
	err := timed(opFlow, func(int) error {
		m.n++
		token, err := m.flow(ctx, user(m.n))
		tokens = append(tokens, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Each refresh token once: another refresh in the same second could have the same answer.
	if err := timed(opRefresh, func(i int) error { return m.refresh(ctx, tokens[i]) }); err != nil || !m.mock.machine {
		return took, err
	}
	return took, timed(opMachine, func(int) error { return m.client.machine(ctx) })
}

// signTurn measures signatures alone, in this process: of crypto/rsa, and the four powers
// of a key of four primes.
func signTurn(ops int) map[string]float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil
	}
	prime, err := rand.Prime(rand.Reader, 512)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(nil)
	exp := new(big.Int).Sub(prime, big.NewInt(2))
	timed := func(step func()) float64 {
		before, _ := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		for range ops {
			step()
		}
		after, _ := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		return float64((after - before).Microseconds()) / 1000 / float64(ops)
	}
	return map[string]float64{
		"crypto/rsa": timed(func() { _, _ = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]) }),
		limit: timed(func() {
			for range 4 {
				new(big.Int).Exp(big.NewInt(3), exp, prime)
			}
		}),
	}
}

// measureStarts starts programs until their first 200, and reads what they use a second
// later. mockauth0 and the gin program take turns; the others start less often.
func measureStarts(ctx context.Context, r *results, mocks []mock, o options) error {
	wall, used, idle := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for i := range o.starts {
		for _, m := range mocks {
			often := m.name == ours || m.name == hello
			if m.name == limit || !often && i >= 3 {
				continue
			}
			p := m.program
			if m.name == ours {
				p.args = p.args[:1] // the built-in tenant
			}
			s, took, err := start(ctx, p)
			if err != nil {
				return err
			}
			cpu, err := s.cpu()
			if err == nil && i < 3 {
				time.Sleep(time.Second) //nolint:forbidigo // idle is a time without an event
				var mib float64
				mib, err = s.resident()
				idle[m.name] = append(idle[m.name], mib)
			}
			s.stop()
			if err != nil {
				return err
			}
			wall[m.name] = append(wall[m.name], float64(took.Microseconds())/1000)
			used[m.name] = append(used[m.name], float64(cpu.Microseconds())/1000)
		}
	}
	// The first quartile: a start is short, and other processes can only make it longer.
	r.add("start, to the first 200", "ms", quantiles(wall, 0.25))
	r.add("start, to the first 200, CPU", "CPU ms", quantiles(used, 0.25))
	r.add("idle, resident", "MiB", medians(idle))
	return nil
}
