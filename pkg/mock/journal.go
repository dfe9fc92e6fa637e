package mock

import (
	"slices"
	"sync"
	"time"
)

const journalSize = 10000 // the oldest entries are dropped

// Entry is one call in the journal. It holds no code, token or secret.
type Entry struct {
	ID       string    `json:"id"` // X-Auth0-RequestId of the answer
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Endpoint string    `json:"endpoint"` // authorize, token, userinfo, jwks, discovery, revoke, …
	Grant    string    `json:"grant,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	Status   int       `json:"status"`
	Reason   string    `json:"reason,omitempty"` // why the tenant refused the call, as in a tenant log
	Parent   string    `json:"parent,omitempty"` // id of the call that issued the code or token of this one
}

// Journal is the record of the calls to a tenant, oldest first.
type Journal struct {
	mu      sync.Mutex
	entries []Entry
}

func newJournal() *Journal { return &Journal{} }

func (j *Journal) add(e *Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= journalSize {
		j.entries = slices.Delete(j.entries, 0, journalSize/10)
	}
	j.entries = append(j.entries, *e)
}

// Query selects entries; empty members select all.
type Query struct {
	Endpoint string
	Grant    string
	ClientID string
	Status   int
}

// Find returns the entries that match a query, oldest first.
func (j *Journal) Find(q Query) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []Entry{}
	for _, e := range j.entries {
		if (q.Endpoint == "" || e.Endpoint == q.Endpoint) && (q.Grant == "" || e.Grant == q.Grant) &&
			(q.ClientID == "" || e.ClientID == q.ClientID) && (q.Status == 0 || e.Status == q.Status) {
			out = append(out, e)
		}
	}
	return out
}

// Count returns the number of entries that match a query.
func (j *Journal) Count(q Query) int { return len(j.Find(q)) }

// Reset empties the journal.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}
