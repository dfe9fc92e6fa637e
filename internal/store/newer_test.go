package store

import (
	"fmt"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

// The saved or existing grant has revision 5, generation 5 and the login of hour
// 10; its logout was at hour 20.
const (
	savedRevision = 5
	savedLogin    = 10
	savedLogout   = 20
)

func at(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }

func live(revision int64, login int, generation int64) *flow.Grant {
	return &flow.Grant{State: flow.GrantActive, Revision: revision, LoggedIn: at(login), Exchanged: at(login), Generation: generation}
}

func gone(revision int64, login, logout int) *flow.Grant {
	return &flow.Grant{State: flow.GrantLoggedOut, Revision: revision, LoggedIn: at(login), Exchanged: at(logout), Generation: 5}
}

// from has the revisions that the spilled grant may have been made from.
var (
	fromNone    = []int64{0}
	fromEarlier = []int64{0, 4}
	fromThis    = []int64{5, 6}
	fromAny     = []int64{0, 4, 5, 6}
)

// TestNewer tests all combinations of spilled and saved grants.
func TestNewer(t *testing.T) {
	saved, logout := live(savedRevision, savedLogin, 5), gone(savedRevision, savedLogin, savedLogout)
	for _, c := range []struct {
		name    string
		saved   *flow.Grant
		from    []int64
		spilled *flow.Grant // its revision is one of from
		want    bool
	}{
		{"nothing was ever saved", nil, fromNone, live(0, 10, 1), true},
		{"deleted since", nil, []int64{1, 6}, live(0, 10, 9), false},
		{"logout, nothing was ever saved", nil, fromNone, gone(0, 10, 20), true},
		{"logout of what was deleted", nil, []int64{1, 6}, gone(0, 10, 20), false},

		{"same login, later exchange", saved, fromAny, live(0, 10, 6), true},
		{"same login and exchange, another state made from it", saved, fromThis, live(0, 10, 5), true},
		{"same login and exchange, another state saved since", saved, fromEarlier, live(0, 10, 5), false},
		{"same login, earlier exchange", saved, fromAny, live(0, 10, 4), false},
		{"another login made from it, by a correct clock", saved, fromThis, live(0, 11, 1), true},
		{"another login made from it, by a clock that was set back", saved, fromThis, live(0, 9, 1), true},
		{"another login, not made from it, later", saved, fromEarlier, live(0, 11, 1), true},
		{"another login, not made from it, earlier", saved, fromEarlier, live(0, 9, 9), false},

		{"refresh of the login that was logged out", logout, fromEarlier, live(0, 10, 9), false},
		{"refresh of a login whose logout has a time before it", gone(savedRevision, savedLogin, 2), fromEarlier, live(0, 10, 9), false},
		{"refresh of an earlier login", logout, fromEarlier, live(0, 9, 9), false},
		{"refresh of another login before the logout", logout, fromEarlier, live(0, 15, 9), false},
		{"login in the moment of the logout", logout, fromEarlier, live(0, 20, 1), false},
		{"login after the logout, not made from it", logout, fromEarlier, live(0, 21, 1), true},
		{"login made from the logout", logout, fromThis, live(0, 21, 1), true},
		{"login made from the logout, by a clock that was set back", logout, fromThis, live(0, 9, 1), true},

		{"logout of this login", saved, fromAny, gone(0, 10, 20), true},
		{"logout of this login by a clock that was set back", saved, fromAny, gone(0, 10, 2), true},
		{"logout of this login after fewer exchanges", live(savedRevision, savedLogin, 9), fromAny, gone(0, 10, 20), true},
		{"logout made from it", saved, fromThis, gone(0, 9, 2), true},
		{"logout of another login, after this login", saved, fromEarlier, gone(0, 9, 20), true},
		{"logout of another login, before this login", saved, fromEarlier, gone(0, 8, 9), false},

		{"logout made from the logout", logout, fromThis, gone(0, 10, 30), true},
		{"the same logout, saved since", logout, fromEarlier, gone(0, 10, 30), false},
		{"logout of a login after the logout", logout, fromEarlier, gone(0, 21, 22), true},
		{"logout of an earlier login", logout, fromEarlier, gone(0, 9, 30), false},
	} {
		for _, c.spilled.Revision = range c.from {
			t.Run(fmt.Sprintf("%s, from %d", c.name, c.spilled.Revision), func(t *testing.T) {
				if got := newer(c.spilled, c.saved); got != c.want {
					t.Errorf("newer(%v, %v) = %v, want %v", c.spilled, c.saved, got, c.want)
				}
			})
		}
	}
}

// TestSupersedes compares two spilled grants.
func TestSupersedes(t *testing.T) {
	there, logout := live(savedRevision, savedLogin, 5), gone(savedRevision, savedLogin, savedLogout)
	for _, c := range []struct {
		name  string
		there *flow.Grant
		from  []int64
		g     *flow.Grant // its revision is one of from
		want  bool
	}{
		{"same login, later exchange", there, fromAny, live(0, 10, 6), true},
		{"same login, earlier exchange", there, fromAny, live(0, 10, 4), false},
		{"same login and exchange, again", there, fromThis, live(0, 10, 5), true},
		{"same login and exchange, from an earlier revision", there, fromEarlier, live(0, 10, 5), false},
		{"later login", there, []int64{0, 5, 6}, live(0, 11, 1), true},
		{"earlier login", there, []int64{0, 4, 5}, live(0, 9, 9), false},
		{"login from a later revision, by a clock that was set back", there, []int64{6}, live(0, 9, 1), true},
		{"login from an earlier revision, by a clock that was set back since", there, []int64{4}, live(0, 11, 1), false},

		{"refresh of what was logged out", logout, fromAny, live(0, 10, 9), false},
		{"login after the logout", logout, []int64{0, 5, 6}, live(0, 21, 1), true},
		{"login before the logout", logout, []int64{0, 4, 5}, live(0, 15, 1), false},
		{"logout of this login", there, fromAny, gone(0, 10, 2), true},
		{"logout after another login", there, []int64{0, 5, 6}, gone(0, 9, 20), true},
		{"logout before another login", there, []int64{0, 4, 5}, gone(0, 8, 9), false},
		{"logout again", logout, fromThis, gone(0, 10, 30), true},
	} {
		for _, c.g.Revision = range c.from {
			t.Run(fmt.Sprintf("%s, from %d", c.name, c.g.Revision), func(t *testing.T) {
				if got := supersedes(c.g, c.there); got != c.want {
					t.Errorf("supersedes(%v, %v) = %v, want %v", c.g, c.there, got, c.want)
				}
			})
		}
	}
}

// TestLater_IsAntisymmetric checks that of two different grants only one is
// later.
func TestLater_IsAntisymmetric(t *testing.T) {
	var all []*flow.Grant
	for _, revision := range fromAny {
		for _, hour := range []int{5, 10, 15} {
			for generation := range int64(3) {
				all = append(all, live(revision, hour, generation))
			}
			for _, after := range []int{0, 1, 6} {
				all = append(all, gone(revision, hour, hour+after))
			}
		}
	}
	for _, a := range all {
		for _, b := range all {
			if later(a, b) && later(b, a) {
				t.Errorf("%v and %v are both later than the other", a, b)
			}
			if !supersedes(a, b) && !supersedes(b, a) {
				t.Errorf("neither %v nor %v is kept", a, b)
			}
		}
	}
}
