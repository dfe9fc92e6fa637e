package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

// The page lists the processes of the store, and which of them it is from. It does not
// wait long for a store that does not answer, and never fails for it.
func TestDashboard_ListsProcessesOfTheStore(t *testing.T) {
	since := time.Now().Add(-time.Hour)
	many := make([]flow.Process, 50)
	for i := range many {
		many[i] = flow.Process{Host: "node", ID: i + 1, Own: i == 49}
	}
	for name, tt := range map[string]struct {
		processes []flow.Process
		err       error
		has       []string
		lacks     string
	}{
		"two": {
			[]flow.Process{{Host: "one<b>", ID: 12, Since: since}, {Host: "two", ID: 13, Since: since, Own: true}},
			nil,
			[]string{"<li>one&lt;b&gt;, process 12, connected <time", "<li>two, process 13, connected <time"},
			"unknown",
		},
		"many":        {many, nil, []string{"process 19", "<li>node, process 50 <b>(this page)</b>", "<li>and 30 more"}, "process 20"},
		"no answer":   {nil, errors.New("postgres: no answer"), []string{"Which processes use the store now is unknown"}, "<li>"},
		"unsupported": {nil, errors.ErrUnsupported, []string{"Replicas"}, "unknown:"},
	} {
		t.Run(name, func(t *testing.T) {
			bounded := false
			d := start(t, Config{Store: "postgres://db/tokend", Version: "v1", Processes: func(ctx context.Context) ([]flow.Process, error) {
				deadline, ok := ctx.Deadline()
				bounded = ok && time.Until(deadline) <= time.Second
				return tt.processes, tt.err
			}})
			a := d.browse(t, mainKey).get(t, "/")
			if a.StatusCode != 200 || !bounded || strings.Contains(a.body, tt.lacks) {
				t.Errorf("%d, with a deadline %v\n%s", a.StatusCode, bounded, a.body)
			}
			for _, want := range tt.has {
				if !strings.Contains(a.body, want) {
					t.Errorf("no %q in\n%s", want, a.body)
				}
			}
			if a := d.browse(t, ciKey).get(t, "/"); a.StatusCode != 200 || strings.Contains(a.body, "<li>") || strings.Contains(a.body, "Which processes") {
				t.Errorf("for a caller with one client: %d\n%s", a.StatusCode, a.body)
			}
			if n := strings.Count(a.body, "(this page)"); tt.processes != nil && n != 1 {
				t.Errorf("%d processes are this page's", n)
			}
		})
	}
}

// Pages that wait for an answer of the store get the same one, also if their time was
// taken before that of the page that asked: else each would wait for an answer of its own.
func TestRecent_IsOneAnswerForPagesAtOnce(t *testing.T) {
	var r recent[int]
	asked, now := 0, time.Now()
	get := func(at time.Time) int {
		n, err := r.get(t.Context(), at, func(context.Context) (int, error) {
			asked++
			return asked, nil
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for i, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {-time.Millisecond, 1}, {recentAge - 1, 1}, {recentAge, 2}, {-time.Hour, 3}} {
		if n := get(now.Add(tt.after)); n != tt.want {
			t.Errorf("%d: after %s it is answer %d, not %d", i, tt.after, n, tt.want)
		}
	}
}
