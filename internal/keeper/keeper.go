// Package keeper keeps the grants of many clients with one schedule: a heap of the
// times of their next requests. It has no goroutine and no timer per client. At most
// eight clients of one issuer refresh at the same time, at a bounded rate.
package keeper

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Client is what a keeper keeps: a flow client.
type Client interface {
	// Key is the key of the client's grant in the store.
	Key() string
	// Issuer is the provider's issuer.
	Issuer() string
	// Next returns when the next request is due, the zero time if only a person or
	// another process can help. It may read the store.
	Next(ctx context.Context) time.Time
	// Step makes the request that is due, and returns what Next would.
	Step(ctx context.Context) time.Time
	// OnWake sets the function to call when Next may have changed.
	OnWake(wake func())
	// Reload makes the next call of Next read the stored grant again. It does not wake.
	Reload()
	// Close waits for requests in flight.
	Close() error
}

// Config of a [Keeper]. The zero value is safe.
type Config struct {
	PerIssuer int     // requests at the same time to one issuer; 0: 8
	Rate      float64 // requests per second to one issuer; 0: 100
	Workers   int     // requests at the same time to all issuers; 0: 512
	Readers   int     // clients that read the store at the same time; 0: 8

	// Watch calls changed with the key of each grant that another process has saved or
	// deleted, "" if any may have changed, until ctx ends. Nil, or an error that is
	// [errors.ErrUnsupported]: the store cannot be watched, and clients that wait for a
	// person read it from time to time.
	Watch func(ctx context.Context, changed func(key string)) error

	Now     func() time.Time     // the wall clock; nil: time.Now
	Elapsed func() time.Duration // a clock that cannot be set; nil: the monotonic one
	Log     *slog.Logger         // nil: silent
}

const (
	clockCheck = 30 * time.Second       // how often the wall clock is compared with the monotonic one
	clockSet   = 2 * time.Second        // a larger difference between them re-plans every client
	readPause  = 30 * time.Second       // between two reads of a client that waits for a person
	readGap    = 50 * time.Millisecond  // between the reads of two such clients
	sweepGap   = 100 * time.Millisecond // between two parts of a reload of all clients
	sweepPart  = 100                    // clients that reload at once then
	closers    = 64                     // clients that are closed at the same time
	watchPause = 5 * time.Second        // before Watch is called again
)

// Keeper keeps clients. [New] returns one.
type Keeper struct {
	cfg   Config
	plans *lane // of the clients that call Next
	woken chan struct{}
	work  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	ctx      context.Context
	ended    bool
	heap     schedule
	entries  map[string]*Entry // by key
	issuers  map[string]*lane
	ready    fifo[*lane] // may start a request
	paced    []*lane     // may start one later, because of their rate
	running  int         // requests, without plans
	armed    time.Time   // when the loop wakes up
	nextRead time.Time   // of the next client that waits for a person
	sweep    []*Entry    // to reload
	swept    time.Time   // when the last part of sweep was reloaded
	watching bool
	checked  time.Time // the wall clock at the last check
	elapsed  time.Duration
}

// New returns the keeper of c. It does nothing until [Keeper.Run].
func New(c Config) *Keeper {
	c.defaults()
	return &Keeper{
		cfg: c, woken: make(chan struct{}, 1), plans: &lane{limit: c.Readers},
		entries: map[string]*Entry{}, issuers: map[string]*lane{},
		checked: c.Now(), elapsed: c.Elapsed(), watching: c.Watch != nil,
	}
}

func (c *Config) defaults() {
	if c.PerIssuer == 0 {
		c.PerIssuer = 8
	}
	if c.Rate == 0 {
		c.Rate = 100
	}
	if c.Workers == 0 {
		c.Workers = 512
	}
	if c.Readers == 0 {
		c.Readers = 8
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Elapsed == nil {
		start := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(start) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Add keeps a client until [Entry.Remove]. Of two clients with the same key, the later
// one learns of changes in the store.
func (k *Keeper) Add(c Client) *Entry {
	e := &Entry{keeper: k, client: c, index: -1}
	k.mu.Lock()
	e.lane = k.laneOf(c.Issuer())
	k.entries[c.Key()] = e
	k.enqueue(k.plans, e)
	k.signal()
	k.mu.Unlock()
	c.OnWake(e.wake)
	return e
}

// laneOf returns the lane of an issuer, for one more client; mu is held.
func (k *Keeper) laneOf(issuer string) *lane {
	l := k.issuers[issuer]
	if l == nil {
		l = &lane{issuer: issuer, limit: k.cfg.PerIssuer, gap: time.Duration(float64(time.Second) / k.cfg.Rate)}
		k.issuers[issuer] = l
	}
	l.clients++
	return l
}

// Run keeps the clients until ctx ends. Then it waits for their requests in flight,
// closes them and returns.
func (k *Keeper) Run(ctx context.Context) {
	var watch sync.WaitGroup
	if k.cfg.Watch != nil {
		watch.Go(func() { k.watch(ctx) })
	}
	k.loop(ctx)
	watch.Wait()
	k.end()
}

// loop starts what is due until ctx ends.
func (k *Keeper) loop(ctx context.Context) {
	k.mu.Lock()
	k.ctx = ctx
	k.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.woken:
		case <-ctx.Done():
			return
		}
		k.mu.Lock()
		timer.Reset(k.dispatch())
		k.mu.Unlock()
	}
}

// end closes every client, which waits for its requests, and waits for the workers.
func (k *Keeper) end() {
	k.mu.Lock()
	k.ended = true
	rest := k.all()
	k.mu.Unlock()
	slots := make(chan struct{}, closers)
	for _, e := range rest {
		slots <- struct{}{}
		k.work.Go(func() {
			e.client.OnWake(nil)
			_ = e.client.Close() // it only waits
			<-slots
		})
	}
	k.work.Wait()
}

// all returns the entries; mu is held.
func (k *Keeper) all() []*Entry {
	list := make([]*Entry, 0, len(k.entries))
	for _, e := range k.entries {
		list = append(list, e)
	}
	return list
}

// signal makes the loop run; mu is held.
func (k *Keeper) signal() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}
