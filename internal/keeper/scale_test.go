package keeper

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// provider is the provider of the simulation: it counts requests, and is down for a
// time.
type provider struct {
	downFrom, downTo time.Time
	latency          time.Duration

	mu        sync.Mutex
	start     time.Time
	perSecond []int // requests, by second since start
	failed    int
	refreshed int
	expired   int           // tokens that had expired when they were refreshed
	closest   time.Duration // the shortest life that a token had left when it was refreshed
}

// grant is a client of the simulation. It plans as flow.Client does: in the first two
// thirds of the advisory window, and a minute after a failure.
type grant struct {
	id       int
	p        *provider
	jitter   float64
	life     time.Duration
	advisory time.Duration
	end      time.Time // of its token
	retry    time.Time
}

func (g *grant) Key() string    { return strconv.Itoa(g.id) }
func (g *grant) Issuer() string { return "https://acme.eu.auth0.com/" }
func (g *grant) OnWake(func())  {}
func (g *grant) Reload()        {}
func (g *grant) Close() error   { return nil }

func (g *grant) Next(context.Context) time.Time {
	at := g.end.Add(-g.advisory + time.Duration(g.jitter*float64(g.advisory)*2/3))
	if g.retry.After(at) {
		return g.retry
	}
	return at
}

func (g *grant) Step(ctx context.Context) time.Time {
	p, sent := g.p, time.Now()
	p.mu.Lock()
	p.perSecond[int(sent.Sub(p.start)/time.Second)]++
	p.mu.Unlock()
	time.Sleep(p.latency)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !now.Before(p.downFrom) && now.Before(p.downTo) {
		p.failed++
		g.retry = now.Add(time.Minute)
		return g.retry
	}
	left := g.end.Sub(sent)
	if left < 0 {
		p.expired++
	}
	p.closest = min(p.closest, left)
	p.refreshed++
	g.end, g.retry = sent.Add(g.life), time.Time{}
	return g.Next(ctx)
}

// TestScale_MillionGrants_OutageAndRestart simulates a million grants of one issuer that were imported together, in
// virtual time, with an outage of an hour when most of them are due and a restart
// shortly after it. docs/scale.md explains the numbers.
func TestScale_MillionGrants_OutageAndRestart(t *testing.T) {
	grants := 1_000_000
	if testing.Short() || race {
		grants = 50_000
	}
	const rate, day = 100.0, 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &provider{
			start: start, perSecond: make([]int, 50*3600), latency: 60 * time.Millisecond, closest: day,
			downFrom: start.Add(19 * time.Hour), downTo: start.Add(20 * time.Hour),
		}
		random := rand.New(rand.NewPCG(1, 2))
		all := make([]grant, grants)
		for i := range all {
			all[i] = grant{id: i, p: p, life: day, advisory: 6 * time.Hour, end: start.Add(day)}
		}
		// A smaller run has a proportionally slower provider.
		c := Config{Rate: rate * float64(grants) / 1_000_000}
		for _, until := range []time.Duration{20*time.Hour + 30*time.Minute, 42 * time.Hour} {
			k := New(c)
			for i := range all {
				all[i].jitter = random.Float64()
				k.Add(&all[i])
			}
			ctx, stop := context.WithDeadline(t.Context(), start.Add(until))
			k.Run(ctx)
			stop()
		}
		most := 0
		for _, n := range p.perSecond {
			most = max(most, n)
		}
		t.Logf("%d grants: %d refreshes, %d failed attempts, at most %d requests in a second (limit %v), shortest life left %v",
			grants, p.refreshed, p.failed, most, c.Rate, p.closest)
		if limit := int(c.Rate) + 9; most > limit { // eight at once after a pause
			t.Errorf("%d requests in a second, and the limit is %d", most, limit)
		}
		if p.expired > 0 {
			t.Errorf("%d tokens expired before they were refreshed", p.expired)
		}
		if p.refreshed < grants {
			t.Errorf("%d refreshes of %d grants", p.refreshed, grants)
		}
	})
}
