//go:build unix

package torture_test

import (
	"fmt"
	"slices"
	"strings"
)

// row is a line of the table: the rounds of one overlap, or all of them.
type row struct {
	name                               string
	rounds, kills, stops, events       int
	outages                            int
	lease                              float64 // seconds; the longest
	answers, logins, families, revoked int
	posts                              []int
	restarts                           []float64
}

func (w *row) add(r *round) {
	w.rounds++
	w.kills += r.result.kills
	w.stops += r.result.stops
	w.outages += r.result.outages
	w.lease = max(w.lease, r.lease().Seconds())
	w.events += len(r.planned)
	w.logins += r.result.logins
	w.answers += r.result.traffic.answers
	w.families += r.result.traffic.families
	w.revoked += r.result.traffic.revoked
	w.posts = append(w.posts, r.result.traffic.posts...)
	w.restarts = append(w.restarts, r.result.restarts...)
}

// rowsOf has a row for each overlap and one for the whole.
func rowsOf(s *scenario, rounds []*round) []*row {
	var rows []*row
	all := &row{name: "all"}
	for _, overlap := range s.overlaps {
		w := &row{name: fmt.Sprintf("%d s", overlap)}
		for _, r := range rounds {
			if r.overlap == overlap {
				w.add(r)
				all.add(r)
			}
		}
		rows = append(rows, w)
	}
	return append(rows, all)
}

// markdown is the table as docs/guarantees.md shows it.
func markdown(rows []*row) string {
	var b strings.Builder
	outages, after := "", "restart"
	if rows[len(rows)-1].outages > 0 {
		outages, after = " database restarts |", "kill"
	}
	fmt.Fprintf(&b, "| overlap | rounds | kills | stops |%s answers lost | logins needed | families | families revoked | POSTs per generation (max, mean) | seconds to the next token after a %s (p50, p99, max) |\n", outages, after)
	fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("--:|", 9+min(1, len(outages))))
	for _, w := range rows {
		if outages != "" {
			outages = fmt.Sprintf(" %d |", w.outages)
		}
		most, mean := w.postsPerToken()
		fmt.Fprintf(&b, "| %s | %d | %d | %d |%s %d | %d | %d | %d | %d, %.2f | %.2f, %.2f, %.2f |\n",
			w.name, w.rounds, w.kills, w.stops, outages, w.answers, w.logins, w.families, w.revoked,
			most, mean, w.quantile(0.5), w.quantile(0.99), w.quantile(1))
	}
	return b.String()
}

func (w *row) postsPerToken() (most int, mean float64) {
	sum := 0
	for _, n := range w.posts {
		sum += n
		most = max(most, n)
	}
	return most, float64(sum) / float64(max(1, len(w.posts)))
}

// quantile of the seconds from a restart to the next fresh token.
func (w *row) quantile(q float64) float64 {
	if len(w.restarts) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(w.restarts))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
