package keeper

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a client whose requests take latency, and are due every period after that.
type fake struct {
	key, issuer string
	period      time.Duration // 0: a person must log in
	latency     time.Duration
	block       chan struct{} // closed to let a request end; nil: latency decides

	mu      sync.Mutex
	at      time.Time
	reloads []time.Time
	reads   []time.Time // calls of Next
	steps   []time.Time
	closed  int
	wake    func()
	load    *load
}

// load counts the requests of many clients.
type load struct{ now, most atomic.Int32 }

func (l *load) begin() {
	n := l.now.Add(1)
	for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
	}
}

func (f *fake) Key() string    { return f.key }
func (f *fake) Issuer() string { return f.issuer }

func (f *fake) Next(context.Context) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, time.Now())
	return f.at
}

func (f *fake) Step(ctx context.Context) time.Time {
	f.mu.Lock()
	f.steps = append(f.steps, time.Now())
	f.mu.Unlock()
	if f.load != nil {
		f.load.begin()
		defer f.load.now.Add(-1)
	}
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
		}
	}
	time.Sleep(f.latency)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at = time.Now().Add(f.period); f.period == 0 {
		f.at = time.Time{}
	}
	return f.at
}

func (f *fake) OnWake(wake func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake = wake
}

func (f *fake) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reloads = append(f.reloads, time.Now())
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// wakeUp is what a flow client does after a caller's request.
func (f *fake) wakeUp(at time.Time) {
	f.mu.Lock()
	f.at = at
	wake := f.wake
	f.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (f *fake) counts() (reads, steps, reloads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.reads), len(f.steps), len(f.reloads)
}

// bubble runs a keeper in virtual time until test returns.
func bubble(t *testing.T, c Config, test func(t *testing.T, k *Keeper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := New(c)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		synctest.Wait()
		test(t, k)
		stop()
		<-ended
	})
}

func add(k *Keeper, n int, issuer string, change func(i int, f *fake)) []*fake {
	var list []*fake
	for i := range n {
		f := &fake{key: fmt.Sprintf("%s/%d", issuer, i), issuer: issuer, period: time.Hour, at: time.Now()}
		if change != nil {
			change(i, f)
		}
		list = append(list, f)
		k.Add(f)
	}
	return list
}

func TestKeeper_RefreshesEachClientWhenDue(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		start := time.Now()
		list := add(k, 3, "a", func(i int, f *fake) {
			f.at, f.period = start.Add(time.Duration(i)*time.Minute), time.Duration(i+1)*time.Hour
		})
		time.Sleep(6*time.Hour + 30*time.Minute)
		synctest.Wait()
		for i, f := range list {
			first := start.Add(time.Duration(i) * time.Minute)
			if want := 6/(i+1) + 1; len(f.steps) != want {
				t.Errorf("client %d: %d requests, want %d", i, len(f.steps), want)
			}
			for n, at := range f.steps {
				if want := first.Add(time.Duration(n) * f.period); !at.Equal(want) {
					t.Errorf("client %d: request %d at %v, want %v", i, n, at, want)
				}
			}
		}
	})
}

func TestKeeper_IdleClientsNeedNoGoroutineAndNoCPU(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		before := runtime.NumGoroutine()
		list := add(k, 10_000, "a", func(_ int, f *fake) { f.at = time.Now().Add(time.Hour) })
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 0 {
			t.Errorf("%d goroutines for idle clients", n)
		}
		time.Sleep(59 * time.Minute)
		for i, f := range list {
			if reads, steps, _ := f.counts(); reads != 1 || steps != 0 {
				t.Fatalf("client %d was planned %d times, %d requests", i, reads, steps)
			}
		}
	})
}

// All clients are due at the start: logins and refreshes have the same limit.
func TestKeeper_AtMostEightRequestsPerIssuer(t *testing.T) {
	bubble(t, Config{Rate: 1e6}, func(t *testing.T, k *Keeper) {
		var a, b load
		block := make(chan struct{})
		add(k, 100, "a", func(_ int, f *fake) { f.load, f.block = &a, block })
		list := add(k, 100, "b", func(_ int, f *fake) { f.load, f.latency = &b, time.Second })
		time.Sleep(time.Minute)
		if n := a.now.Load(); n != 8 {
			t.Errorf("%d requests to an issuer that does not answer", n)
		}
		if n := b.most.Load(); n != 8 {
			t.Errorf("%d requests at the same time", n)
		}
		for i, f := range list {
			if _, steps, _ := f.counts(); steps != 1 {
				t.Fatalf("client %d of an issuer that answers: %d requests", i, steps)
			}
		}
		close(block)
		time.Sleep(time.Minute)
		if n := a.most.Load(); n != 8 {
			t.Errorf("%d requests at the same time", n)
		}
	})
}

func TestKeeper_RequestsOfAllIssuersAreBounded(t *testing.T) {
	bubble(t, Config{Workers: 20}, func(t *testing.T, k *Keeper) {
		var all load
		var list []*fake
		for i := range 100 {
			list = append(list, add(k, 3, fmt.Sprintf("issuer %d", i), func(_ int, f *fake) { f.load, f.latency = &all, time.Second })...)
		}
		waiting := add(k, 1, "other", func(_ int, f *fake) { f.at = time.Now().Add(time.Hour) })
		synctest.Wait()
		if reads, _, _ := waiting[0].counts(); reads != 1 {
			t.Error("clients are not planned while all workers are busy")
		}
		time.Sleep(20 * time.Second)
		if n := all.most.Load(); n != 20 {
			t.Errorf("%d requests at the same time", n)
		}
		for _, f := range list {
			if _, steps, _ := f.counts(); steps != 1 {
				t.Fatalf("%s: %d requests", f.key, steps)
			}
		}
	})
}

func TestKeeper_RateOfAnIssuerIsBounded(t *testing.T) {
	bubble(t, Config{Rate: 50}, func(t *testing.T, k *Keeper) {
		list := add(k, 1000, "a", nil)
		for second := range 18 {
			time.Sleep(time.Second)
			n := 0
			for _, f := range list {
				_, steps, _ := f.counts()
				n += steps
			}
			if want := 50 * (second + 1); n < want || n > want+9 { // eight at once at the start
				t.Fatalf("%d requests after %d seconds, want %d", n, second+1, want)
			}
		}
	})
}

// A wake-up while the client runs must not be lost.
func TestKeeper_WakeUpPlansAgain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		f := add(k, 1, "a", func(_ int, f *fake) { f.at, f.latency = time.Now().Add(time.Hour), time.Minute })[0]
		time.Sleep(time.Second)
		f.wakeUp(time.Now())
		time.Sleep(time.Second)
		if _, steps, _ := f.counts(); steps != 1 {
			t.Fatalf("%d requests after a wake-up", steps)
		}
		before, _, _ := f.counts()
		f.wakeUp(time.Time{})
		time.Sleep(2 * time.Minute)
		if reads, _, _ := f.counts(); reads != before+1 {
			t.Errorf("%d plans after a wake-up during a request", reads-before)
		}
	})
}

func TestKeeper_ClockSet_PlansAllAgain(t *testing.T) {
	var set atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
	for _, by := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		set.Store(0)
		bubble(t, Config{Now: now, Rate: 10}, func(t *testing.T, k *Keeper) {
			list := add(k, 100, "a", func(_ int, f *fake) { f.at, f.period = now().Add(10*time.Hour), 10*time.Hour })
			time.Sleep(10 * time.Minute)
			set.Store(int64(by))
			time.Sleep(31 * time.Second)
			for i, f := range list {
				if reads, _, _ := f.counts(); reads != 2 {
					t.Fatalf("client %d planned %d times after the clock was set by %v", i, reads, by)
				}
				f.wakeUp(now())
			}
			time.Sleep(time.Minute)
			for i, f := range list {
				if _, steps, _ := f.counts(); steps != 1 {
					t.Fatalf("client %d: %d requests after the clock was set by %v", i, steps, by)
				}
			}
		})
	}
}

func TestKeeper_ClientsThatWaitForAPerson_ReadAtBoundedRate(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		few := add(k, 1, "few", func(_ int, f *fake) { f.at = time.Time{} })[0]
		time.Sleep(5*time.Minute + time.Second)
		if _, _, n := few.counts(); n < 9 || n > 10 {
			t.Errorf("a single client read %d times in 5 minutes", n)
		}
		many := add(k, 5_000, "many", func(_ int, f *fake) { f.at = time.Time{} })
		time.Sleep(time.Minute)
		count := func() (n int) {
			for _, f := range many {
				_, _, reloads := f.counts()
				n += reloads
			}
			return n
		}
		before := count()
		time.Sleep(time.Minute)
		if n := count() - before; n > 60*20+1 || n < 60*18 {
			t.Errorf("%d reads a minute, want 20 a second", n)
		}
		time.Sleep(10 * time.Minute)
		for i, f := range many {
			if _, _, n := f.counts(); n == 0 {
				t.Fatalf("client %d was never read", i)
			}
		}
	})
}

func TestKeeper_Watch_ReplacesReads(t *testing.T) {
	lost := make(chan func(string), 1)
	fail := make(chan struct{})
	watch := func(ctx context.Context, changed func(string)) error {
		lost <- changed
		select {
		case <-fail:
			return errors.New("connection lost")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		fail = make(chan struct{})
		lost = make(chan func(string), 1)
		k := New(Config{Watch: watch})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		list := add(k, 1000, "a", func(i int, f *fake) {
			if f.at = time.Now().Add(time.Hour); i%2 == 0 {
				f.at = time.Time{}
			}
		})
		changed := <-lost
		reloads := func() (n int) {
			for _, f := range list {
				_, _, r := f.counts()
				n += r
			}
			return n
		}
		time.Sleep(30 * time.Minute)
		if n := reloads(); n != 0 {
			t.Errorf("%d reads of a store that is watched", n)
		}
		changed("a/7")
		changed("unknown")
		synctest.Wait()
		if _, _, n := list[7].counts(); n != 1 || reloads() != 1 {
			t.Errorf("%d reloads of the changed grant, %d in all", n, reloads())
		}
		changed("")
		synctest.Wait()
		if n := reloads() - 1; n > 2*sweepPart {
			t.Errorf("%d reloads at once", n)
		}
		time.Sleep(2 * time.Second)
		if n := reloads(); n != 1001 {
			t.Errorf("%d reloads after the connection was back, want all", n-1)
		}
		close(fail)
		time.Sleep(4 * time.Second)
		before := reloads()
		time.Sleep(40 * time.Second) // Watch fails again and again
		if n := reloads() - before; n == 0 {
			t.Error("no reads while the store cannot be watched")
		}
		for len(lost) > 0 {
			<-lost
		}
		stop()
		<-ended
	})
}

func TestKeeper_StoreCannotBeWatched_IsRead(t *testing.T) {
	calls := 0
	watch := func(context.Context, func(string)) error { calls++; return errors.ErrUnsupported }
	bubble(t, Config{Watch: watch}, func(t *testing.T, k *Keeper) {
		f := add(k, 1, "a", func(_ int, f *fake) { f.at = time.Time{} })[0]
		time.Sleep(5 * time.Minute)
		if _, _, n := f.counts(); n < 8 || calls != 1 {
			t.Errorf("%d reads in 5 minutes, Watch was called %d times", n, calls)
		}
	})
}

func TestKeeper_Remove_EndsRequests(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		f := &fake{key: "a", issuer: "a", period: time.Hour, at: time.Now().Add(time.Minute)}
		e := k.Add(f)
		other := add(k, 1, "a", nil)[0]
		synctest.Wait()
		e.Remove()
		e.Remove()
		f.wakeUp(time.Now())
		e.wake() // a wake-up that was on its way
		time.Sleep(90 * time.Minute)
		if _, steps, _ := f.counts(); steps != 0 || f.closed != 0 {
			t.Errorf("%d requests of a removed client, closed %d times", steps, f.closed)
		}
		if _, steps, _ := other.counts(); steps != 2 {
			t.Errorf("another client of the issuer: %d requests", steps)
		}
	})
}

// A client that a reload adds under the key of a removed one learns of changes.
func TestKeeper_Replaced_LaterClientHasTheKey(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, k *Keeper) {
		old := k.Add(&fake{key: "a", issuer: "a", at: time.Now().Add(time.Hour)})
		next := add(k, 1, "x", func(_ int, f *fake) { f.key, f.issuer, f.at = "a", "a", time.Now().Add(time.Hour) })[0]
		old.Remove()
		k.changed("a")
		synctest.Wait()
		if _, _, n := next.counts(); n != 1 {
			t.Errorf("%d reloads", n)
		}
	})
}

func TestKeeper_End_WaitsAndClosesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		list := add(k, 200, "a", func(_ int, f *fake) { f.latency = 10 * time.Second })
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		<-ended
		if d := time.Since(begun); d < 8*time.Second || d > 10*time.Second {
			t.Errorf("the end took %v, and the requests in flight 9s", d)
		}
		steps := 0
		for i, f := range list {
			if _, n, _ := f.counts(); n > 0 {
				steps++
			}
			if f.closed != 1 || f.wake != nil {
				t.Fatalf("client %d was closed %d times", i, f.closed)
			}
			f.wakeUp(time.Now())
		}
		if steps != 8 {
			t.Errorf("%d requests, want none after the end began", steps)
		}
	})
}
