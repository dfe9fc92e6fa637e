package mock

import (
	"context"
	"sync"
	"time"
)

const journalSize = 10000 // a newer entry replaces the oldest

// Entry is one call in the journal. It holds no code, token or secret.
type Entry struct {
	ID       string    `json:"id"` // X-Auth0-RequestId of the answer
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Endpoint string    `json:"endpoint"` // authorize, token, userinfo, jwks, discovery, revoke, …
	Grant    string    `json:"grant,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	User     string    `json:"user_id,omitempty"` // who logged in, or whose tokens were issued
	Status   int       `json:"status"`
	Reason   string    `json:"reason,omitempty"` // why the tenant refused the call, as in a tenant log
	Hint     string    `json:"hint,omitempty"`   // what to change, for a developer; no answer has it
	Parent   string    `json:"parent,omitempty"` // id of the call that issued the code or token of this one
	Number   int       `json:"number"`           // position in the journal; a reset does not start again at 1
}

// Journal is the record of the calls to a tenant, oldest first. It keeps the last
// 10,000 calls and counts those that it dropped.
type Journal struct {
	mu      sync.Mutex
	ring    []Entry       // number n is at (n-1-base) % journalSize
	base    int           // number of the last entry before the last Reset
	last    int           // number of the newest entry
	signals int           // changes of other state of the tenant, see signal
	changed chan struct{} // closed at the next change; nil while no one waits
}

func newJournal() *Journal { return &Journal{} }

func (j *Journal) add(e *Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := (j.last - j.base) % journalSize
	j.last++
	e.Number = j.last
	if at < len(j.ring) {
		j.ring[at] = *e
	} else {
		j.ring = append(j.ring, *e)
	}
	j.wake()
}

// Query selects entries; empty members select all.
type Query struct {
	Endpoint string
	Grant    string
	ClientID string
	Status   int
	After    int // entries with a higher number
}

func (q Query) matches(e *Entry) bool {
	return (q.Endpoint == "" || e.Endpoint == q.Endpoint) && (q.Grant == "" || e.Grant == q.Grant) &&
		(q.ClientID == "" || e.ClientID == q.ClientID) && (q.Status == 0 || e.Status == q.Status)
}

// Find returns the entries that match a query, oldest first.
func (j *Journal) Find(q Query) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list, _ := j.find(q)
	return list
}

// find also returns how many entries after q.After were dropped.
func (j *Journal) find(q Query) (list []Entry, dropped int) {
	list = []Entry{}
	after := max(q.After, j.base)
	oldest := j.last - len(j.ring) + 1
	for n := max(after+1, oldest); n <= j.last; n++ {
		if e := &j.ring[(n-1-j.base)%journalSize]; q.matches(e) {
			list = append(list, *e)
		}
	}
	return list, max(0, oldest-1-after)
}

// Count returns the number of entries that match a query.
func (j *Journal) Count(q Query) int { return len(j.Find(q)) }

// Dropped returns how many entries were dropped since the start or the last Reset,
// because the journal was full.
func (j *Journal) Dropped() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last - j.base - len(j.ring)
}

// Wait waits until at least n entries match a query and returns them. When ctx ends
// before, it returns those that there are, and the error of ctx.
func (j *Journal) Wait(ctx context.Context, q Query, n int) ([]Entry, error) {
	for {
		v := j.watch(q)
		if len(v.list) >= n {
			return v.list, nil
		}
		select {
		case <-v.changed:
		case <-ctx.Done():
			return v.list, ctx.Err()
		}
	}
}

// view is what the journal has at one time.
type view struct {
	list    []Entry
	dropped int             // entries after Query.After that it no longer has
	last    int             // number of the newest entry
	signals int             // see signal
	changed <-chan struct{} // closed at the next change
}

// watch returns the entries that match a query, with what a stream of them needs.
func (j *Journal) watch(q Query) view {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	list, dropped := j.find(q)
	return view{list, dropped, j.last, j.signals, j.changed}
}

// signal tells streams that other state than the journal changed.
func (j *Journal) signal() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.signals++
	j.wake()
}

// wake ends the waiting of every watch. The caller holds j.mu.
func (j *Journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// numberOf returns the number of the entry with an id, or 0.
func (j *Journal) numberOf(id string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := j.last; n > j.last-len(j.ring); n-- { // what is asked for is usually recent
		if e := &j.ring[(n-1-j.base)%journalSize]; e.ID == id {
			return n
		}
	}
	return 0
}

// Reset empties the journal.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring, j.base = nil, j.last
	j.wake()
}
