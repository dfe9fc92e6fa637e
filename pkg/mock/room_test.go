package mock_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

type keptState struct {
	Kept    map[string]int
	Dropped int
}

func (w *world) state() keptState {
	w.Helper()
	return decodeJSON[keptState](w.TB, w.mustControl("GET", "/_mock/state", "").body)
}

// crowd is a tenant of n users.
func crowd(t *testing.T, n int) *world {
	e := richTenant()
	e.Connections = append(e.Connections, tenant.Connection{Name: "email", Strategy: "email"})
	for i := range n {
		e.Users = append(e.Users, tenant.User{Email: fmt.Sprintf("user%d@example.com", i), Password: "password"})
	}
	return newWorld(t, mock.Config{Tenant: e})
}

// However many flows there are, each kind of state stays below its limit.
func TestStateIsBounded(t *testing.T) {
	const most, flows = 40, 100
	w := crowd(t, flows)
	w.KeepAtMost(most)
	var browsers []*world
	for i := range flows {
		user := fmt.Sprintf("user%d@example.com", i)
		b := w.otherBrowser()
		browsers = append(browsers, b)
		w.Advance(100 * time.Millisecond)
		code := b.code("login_hint", user, "audience", "-", "scope", fmt.Sprintf("offline_access x%d", i))
		b.exchange(code).tokens()
		b.post("/oauth/device/code", "client_id", "demo")
		b.post("/oauth/par", "client_id", "demo", "client_secret", "demo-secret", "response_type", "code", "redirect_uri", callback)
		b.post("/oauth/token", "grant_type", "password", "client_id", "demo", "client_secret", "demo-secret", "username", user, "password", "x")
		b.post("/passwordless/start", "client_id", "demo", "client_secret", "demo-secret", "connection", "email", "email", user)
		b.post("/dbconnections/change_password", "client_id", "demo", "connection", "Username-Password-Authentication", "email", user)
		w.mustControl("POST", "/_mock/settings", `{"login":"form"}`)
		w.otherBrowser().authorize()
		w.mustControl("POST", "/_mock/settings", `{"login":"auto"}`)
	}
	s := w.state()
	for _, kind := range []string{"sessions", "logins", "consents", "codes", "families", "refresh_tokens", "devices", "attempts", "pushed_requests", "one_time_codes", "password_resets"} {
		if n := s.Kept[kind]; n > most || n < most*3/4 {
			t.Errorf("%d %s", n, kind)
		}
	}
	if s.Dropped < 10*(flows-most) {
		t.Errorf("%d dropped", s.Dropped)
	}
	for i, b := range browsers[flows-10:] {
		if r := b.authorize("prompt", "none"); r.param("error") == "login_required" {
			t.Errorf("the session of login %d was dropped before older ones", flows-10+i)
		}
	}
}

// Without a full map, state goes as it expires.
func TestExpiredStateGoesWhileOtherIsAdded(t *testing.T) {
	w := newWorld(t, mock.Config{})
	const flows = 1500
	for range flows {
		w.otherBrowser().code()
		w.post("/oauth/device/code", "client_id", "demo")
		w.Advance(time.Hour) // a session is idle after 72
	}
	s := w.state()
	for kind, alive := range map[string]int{"sessions": 73, "codes": 3, "devices": 2} {
		if n := s.Kept[kind]; n > 2*alive+20 {
			t.Errorf("%d %s, of which %d are alive", n, kind, alive)
		}
	}
	if s.Dropped != 0 {
		t.Errorf("%d dropped that had not expired", s.Dropped)
	}
}

func TestFamiliesGoADayAfterTheyEnd(t *testing.T) {
	w := crowd(t, 150)
	for i := range 150 {
		code := w.otherBrowser().code("client_id", "rotating", "login_hint", fmt.Sprintf("user%d@example.com", i), "audience", "-", "scope", "offline_access")
		w.exchange(code, "client_id", "rotating", "client_secret", "rotating-secret").tokens()
		w.Advance(24 * time.Hour) // idle after 28 hours
	}
	if n := len(w.Families()); n > 30 {
		t.Errorf("%d families", n)
	}
	if n := w.state().Kept["refresh_tokens"]; n > 30 {
		t.Errorf("%d refresh tokens", n)
	}
}

func TestReuseIsDetectedForAThousandTokensOfAFamily(t *testing.T) {
	w := newWorld(t, mock.Config{})
	code := w.code("client_id", "abrupt", "audience", "-", "scope", "offline_access")
	tokens := []string{w.exchange(code, "client_id", "abrupt", "client_secret", "abrupt-secret").tokens().Refresh}
	for range 1005 {
		tokens = append(tokens, w.refresh("abrupt", tokens[len(tokens)-1]).tokens().Refresh)
	}
	if n := w.state().Kept["refresh_tokens"]; n != 1000 {
		t.Errorf("%d refresh tokens", n)
	}
	w.refresh("abrupt", tokens[0]).refused(403, "invalid_grant", badRefresh)
	if f := w.Families()[0]; f.Revoked != "" {
		t.Errorf("a token that was forgotten ended the family: %s", f.Revoked)
	}
	w.refresh("abrupt", tokens[6]).refused(403, "invalid_grant", badRefresh)
	if f := w.Families()[0]; f.Revoked == "" {
		t.Error("a token that was used again did not end the family")
	}
}

// An assertion's jti is kept as long as the assertion.
func TestUsedAssertionsGoWhenTheyExpire(t *testing.T) {
	w, key := keyedWorld(t)
	for i := range 60 {
		w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "keyed", "audience", api,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", key.assert(jose.RS256, "k1", map[string]any{"jti": fmt.Sprint(i), "exp": w.Now().Add(time.Minute).Unix()})).tokens()
		w.Advance(time.Minute + time.Second)
	}
	if n := w.state().Kept["assertions"]; n > 15 {
		t.Errorf("%d assertions", n)
	}
}

// BenchmarkHeap reports what is kept of each of many flows: make it run 80,000 with
// -benchtime 80000x.
func BenchmarkHeap(b *testing.B) {
	t := benchTenant(b, nil)
	before := heap()
	for b.Loop() {
		codeFlow(b, t)
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
	b.ReportMetric(float64(t.Journal().Dropped()), "dropped")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
