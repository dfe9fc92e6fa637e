package mock

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Endpoints of the tenant, as the journal, faults and [Tenant.Calls] name them.
const (
	Authorize = "authorize"
	Token     = "token"
	Userinfo  = "userinfo"
	JWKS      = "jwks"
	Discovery = "discovery"
	Revoke    = "revoke"
	Device    = "device"
	PAR       = "par"
)

const shownCalls = 20 // in the text of a failed assertion

// Calls are calls of the journal, for an assertion of a test:
//
//	tenant.Calls(mock.Token).Grant("refresh_token").Times(t, 2)
//	tenant.Calls(mock.Token).Status(403).Never(t)
type Calls struct {
	journal   *Journal
	endpoints []string
	query     Query
}

// Calls selects the calls of an endpoint; "" selects all.
func (t *Tenant) Calls(endpoint string) Calls {
	return Calls{t.journal, t.endpoints(), Query{Endpoint: endpoint}}
}

// Grant selects the calls with a grant_type.
func (c Calls) Grant(grant string) Calls { c.query.Grant = grant; return c }

// Client selects the calls of a client.
func (c Calls) Client(id string) Calls { c.query.ClientID = id; return c }

// Status selects the calls that were answered with a status.
func (c Calls) Status(status int) Calls { c.query.Status = status; return c }

// List returns the calls, oldest first.
func (c Calls) List() []Entry { return c.journal.Find(c.query) }

// Once fails the test unless there is one call.
func (c Calls) Once(tb TB) { tb.Helper(); c.Times(tb, 1) }

// Never fails the test if there is a call.
func (c Calls) Never(tb TB) { tb.Helper(); c.Times(tb, 0) }

// Times fails the test unless there are n calls. The failure lists the calls, or
// those of other kinds if there are none.
func (c Calls) Times(tb TB, n int) {
	tb.Helper()
	if err := checkEndpoint(c.query.Endpoint, c.endpoints); err != nil {
		tb.Fatalf("mock: calls: %v", err) // or a misspelt name would never have a call
		return
	}
	list := c.List()
	got, dropped := len(list), c.journal.Dropped()
	switch {
	case dropped > 0:
		tb.Fatalf("mock: calls of %s: cannot be counted, because the journal dropped the oldest %d of all calls; call Journal().Reset() before", c.query, dropped)
		return
	case got == n:
		return
	}
	what := ""
	if got == 0 {
		list, what = c.journal.Find(Query{}), "; all calls"
	}
	tb.Fatalf("mock: calls of %s: got %d, want %d%s:%s", c.query, got, n, what, lines(list))
}

// String returns the query as words, such as "token refresh_token demo 200".
func (q Query) String() string {
	words := []string{cmp.Or(q.Endpoint, "any endpoint")}
	for _, w := range []string{q.Grant, q.ClientID} {
		if w != "" {
			words = append(words, w)
		}
	}
	if q.Status != 0 {
		words = append(words, strconv.Itoa(q.Status))
	}
	return strings.Join(words, " ")
}

// lines returns the last entries, each on lines of its own.
func lines(list []Entry) string {
	if len(list) == 0 {
		return "\n  (none)"
	}
	var b strings.Builder
	if more := len(list) - shownCalls; more > 0 {
		fmt.Fprintf(&b, "\n  … %d before", more)
		list = list[more:]
	}
	for _, e := range list {
		b.WriteString("\n  " + e.String())
		if e.Hint != "" {
			b.WriteString("\n      hint: " + e.Hint)
		}
	}
	return b.String()
}

// String returns the entry on one line: number, time, call, grant, client, status and
// reason.
func (e Entry) String() string {
	words := []string{fmt.Sprintf("%3d", e.Number), e.Time.Format("15:04:05.000"), e.Method, e.Path}
	for _, w := range []string{e.Grant, e.ClientID, strconv.Itoa(e.Status), e.Reason} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, "  ")
}
