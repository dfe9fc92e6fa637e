//go:build unix

package torture_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/tokend/pkg/mock"
)

// traffic is what the tenant's journal shows of a round.
type traffic struct {
	posts    []int // for each refresh token that was sent: how often
	answers  int   // refreshes whose answer was lost after the commit
	families int
	revoked  int
}

// checkTraffic checks what the tenant has seen.
func (r *round) checkTraffic() traffic {
	var t traffic
	for _, f := range r.tenant.Families() {
		t.families++
		if f.Revoked != "" {
			t.revoked++
			r.logf("family %s at generation %d: %s", f.ID, f.Generation, f.Revoked)
		}
	}
	// Each event loses at most one answer and is recovered before the next one:
	// no two answers in a row are lost inside an overlap. Without an overlap
	// nothing that may be spent is sent while an access token is left.
	if t.revoked > 0 {
		r.failf("%d of %d families revoked with an overlap of %d s", t.revoked, t.families, r.overlap)
	}
	if lossy := len(r.result.lossy); r.result.logins > lossy {
		r.failf("%d logins after %d events", r.result.logins, lossy)
	}
	sent := r.exchanges()
	for _, posts := range sent {
		t.posts = append(t.posts, len(posts))
		if len(posts) > r.maxPosts {
			r.failf("a refresh token was sent %d times", len(posts))
		}
		for _, e := range posts[:len(posts)-1] {
			if !r.mayBeLost(e.Time) {
				r.failf("a refresh token was sent %d times, first at %.3f s, when no answer was lost", len(posts), e.Time.Sub(r.began).Seconds())
			}
		}
	}
	t.answers = r.lostAnswers(sent)
	return t
}

// exchanges are the refresh requests, grouped by the call that issued the
// refresh token, in the order of their first use. A request that ended before
// the tenant read it has no parent in the journal: it is of the token that
// is sent next, or of the newest one when a login comes next.
func (r *round) exchanges() [][]mock.Entry {
	var order []string
	groups := map[string][]mock.Entry{}
	add := func(parent string, posts ...mock.Entry) {
		if len(posts) > 0 && groups[parent] == nil {
			order = append(order, parent)
		}
		groups[parent] = append(groups[parent], posts...)
	}
	var unseen []mock.Entry
	newest := ""
	for _, e := range r.tenant.Journal().Find(mock.Query{Endpoint: "token"}) {
		switch {
		case e.Grant == "authorization_code":
			add(newest, unseen...)
			unseen, newest = nil, e.ID
		case e.Parent == "":
			unseen = append(unseen, e)
		default:
			add(e.Parent, append(unseen, e)...)
			unseen, newest = nil, e.ID
		}
	}
	add(newest, unseen...)
	var out [][]mock.Entry
	for _, parent := range order {
		posts := groups[parent]
		slices.SortStableFunc(posts, func(a, b mock.Entry) int { return a.Time.Compare(b.Time) })
		out = append(out, posts)
	}
	return out
}

// mayBeLost reports whether an answer to a request of that time may be lost.
func (r *round) mayBeLost(at time.Time) bool {
	return slices.ContainsFunc(r.result.lossy, func(w window) bool {
		return !at.Before(w.from) && !at.After(w.to)
	})
}

// lostAnswers counts exchanges that were committed and whose refresh token was
// never sent, except the last one, which is stored.
func (r *round) lostAnswers(sent [][]mock.Entry) int {
	used := map[string]bool{}
	last := ""
	var committed []string
	for _, posts := range sent {
		for _, e := range posts {
			used[e.Parent] = true
			if e.Parent != "" && !strings.Contains(e.Reason, "revoked") && !strings.Contains(e.Reason, "reused") {
				committed = append(committed, e.ID)
			}
		}
	}
	if families := r.tenant.Families(); len(families) > 0 {
		last = families[len(families)-1].LastCall
	}
	n := 0
	for _, id := range committed {
		if !used[id] && id != last {
			n++
		}
	}
	return n
}

// lineage is the end of the journal: which token was sent when.
func (r *round) lineage(most int) string {
	all := r.tenant.Journal().Find(mock.Query{Endpoint: "token"})
	var b strings.Builder
	for _, e := range all[max(0, len(all)-most):] {
		fmt.Fprintf(&b, "%8.3f  %s %d  call %s  token of %s  %s\n", e.Time.Sub(r.began).Seconds(), e.Grant, e.Status, e.ID, e.Parent, e.Reason)
	}
	return b.String()
}

// story is everything that is known of a round that failed.
func (r *round) story(seed uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "round %d of seed %d on %s (repeat: TORTURE_STORE=%s TORTURE_SEED=%d TORTURE_ROUND=%d)\n", r.number, seed, r.store, r.store, seed, r.number)
	for _, p := range r.problems {
		fmt.Fprintf(&b, "  %s\n", p)
	}
	b.WriteString("events, in seconds:\n")
	for _, e := range r.timeline {
		fmt.Fprintln(&b, e)
	}
	if r.tenant != nil {
		fmt.Fprintf(&b, "the tenant's journal:\n%s", r.lineage(40))
	}
	for _, p := range r.procs {
		fmt.Fprintf(&b, "log of %s:\n%s\n", p.name, p.logTail(15))
	}
	return b.String()
}
