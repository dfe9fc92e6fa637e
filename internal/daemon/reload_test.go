package daemon

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

const newKey = "canary-new-key-0123456789"

func TestReplace_ServesNewClientsAndRefusesOldOnes(t *testing.T) {
	f := newTenant(t)
	stays, goes, comes := kept(t, f, "stays"), kept(t, f, "goes"), kept(t, f, "comes")
	d := start(t, Config{Clients: []Client{stays, goes}})
	for _, name := range []string{"stays", "goes"} {
		if a := d.call(t, "GET", "/v1/clients/"+name+"/token", ""); a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	posts := f.posts.Load()
	if err := d.Replace([]Client{stays, comes}, []Key{{Name: "main", Secret: mainKey}}); err != nil {
		t.Fatal(err)
	}
	if a := d.call(t, "GET", "/v1/clients/goes/token", ""); a.StatusCode != 404 || a.error(t) != "unknown_client" {
		t.Errorf("removed: %d %s", a.StatusCode, a.body)
	}
	for _, name := range []string{"stays", "comes"} {
		if a := d.call(t, "GET", "/v1/clients/"+name+"/token", ""); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if n := f.posts.Load() - posts; n != 1 {
		t.Errorf("%d token requests, where only the new client needs one", n)
	}
}

func TestReplace_Keys(t *testing.T) {
	f := newTenant(t)
	demo := kept(t, f, "demo")
	d := start(t, Config{Clients: []Client{demo}})
	asked := func(key string) int {
		return d.raw(t, "GET /v1/clients HTTP/1.1\nHost: HOST\nAuthorization: Bearer "+key+"\n\n").StatusCode
	}
	if err := d.Replace([]Client{demo}, []Key{{Name: "new", Secret: newKey}}); err != nil {
		t.Fatal(err)
	}
	if before, after := asked(mainKey), asked(newKey); before != 401 || after != 200 {
		t.Errorf("the removed key: %d, the new key: %d", before, after)
	}
}

func TestReplace_RefusedChangesNothing(t *testing.T) {
	f := newTenant(t)
	demo, other := kept(t, f, "demo"), kept(t, f, "other")
	d := start(t, Config{Clients: []Client{demo}})
	for name, err := range map[string]error{
		"a client twice": d.Replace([]Client{other, other}, nil),
		"an empty key":   d.Replace([]Client{other}, []Key{{Name: "main"}}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if a := d.call(t, "GET", "/v1/clients/demo/token", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := d.call(t, "GET", "/v1/clients/other", ""); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// Readers see clients "x1" and "y1" with the first key or "x2" and "y2" with the
// second one, and no other combination.
func TestReplace_UnderLoad(t *testing.T) {
	f := newTenant(t)
	type config struct {
		clients []Client
		keys    []Key
	}
	var configs []config
	for _, n := range []string{"1", "2"} {
		configs = append(configs, config{
			[]Client{kept(t, f, "x"+n), kept(t, f, "y"+n), kept(t, f, "always")},
			[]Key{{Name: "key" + n, Secret: flow.Secret(newKey + n)}, {Name: "main", Secret: mainKey}},
		})
	}
	d := start(t, Config{Clients: configs[0].clients, Keys: configs[0].keys})
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				readOnce(t, d, i)
			}
		})
	}
	for i := range 200 {
		c := configs[(i+1)%2]
		if err := d.Replace(c.clients, c.keys); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	readers.Wait()
}

// readOnce reads the list of clients, or the token of the client that both
// configurations have.
func readOnce(t *testing.T, d *running, reader int) {
	get := func(path, key string) (int, string) {
		r, err := http.NewRequest("GET", "http://"+d.addr+path, nil) //nolint:noctx // ends with the service
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Authorization", "Bearer "+key)
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		return a.StatusCode, readAll(t, a)
	}
	if status, body := get("/v1/clients/always/token", mainKey); status != 200 {
		t.Errorf("a request failed: %d %s", status, body)
	}
	n := strconv.Itoa(reader%2 + 1)
	other := strconv.Itoa(2 - reader%2)
	switch status, body := get("/v1/clients", newKey+n); {
	case status == 401: // the other configuration is active
	case status != 200 || !strings.Contains(body, `"x`+n+`"`) || !strings.Contains(body, `"y`+n+`"`) ||
		strings.Contains(body, `"x`+other+`"`) || strings.Contains(body, `"y`+other+`"`):
		t.Errorf("key %s with: %d %s", n, status, body)
	}
}

// A request that waits for a replaced or removed client gets its answer, and the end of the
// service waits for the client's refresh.
func TestReplace_WhileARequestWaits(t *testing.T) {
	f := newTenant(t)
	release, began := make(chan struct{}), make(chan struct{}, 9)
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-release
		goodToken(w, r)
	})
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	waits := make(chan answered, 1)
	go func() { waits <- d.call(t, "GET", "/v1/clients/demo/token", "") }()
	<-began
	d.waitForUse(t, "demo")
	if err := d.Replace(nil, []Key{{Name: "main", Secret: mainKey}}); err != nil {
		t.Fatal(err)
	}
	if a := d.call(t, "GET", "/v1/clients/demo", ""); a.StatusCode != 404 {
		t.Errorf("the removed client: %d", a.StatusCode)
	}
	close(release)
	if a := <-waits; a.StatusCode != 200 {
		t.Errorf("the request that waited: %d %s", a.StatusCode, a.body)
	}
}

// waitForUse waits until a request waits for a client.
func (r *running) waitForUse(t *testing.T, client string) {
	t.Helper()
	l := r.active.Load().clients[client].life
	for end := time.Now().Add(20 * time.Second); l.inUse() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no request waits")
		}
	}
}

func (l *life) inUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uses
}

// A request that waits for another process's lease is not canceled when its client is
// removed.
func TestReplace_WhileARequestWaitsForTheLease(t *testing.T) {
	f := newTenant(t)
	store := flow.NewMemoryStore()
	lease, err := store.Lock(t.Context(), flow.GrantKey(f.issuer(), "demo", "demo"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, Config{Clients: []Client{makeClient(t, flow.Config{
		Name: "demo", Issuer: f.issuer(), ClientID: "demo", ClientSecret: canarySecret, Store: store,
		Source: flow.Seed{RefreshToken: canaryFresh},
	}, "")}})
	waits := make(chan answered, 1)
	go func() { waits <- d.call(t, "GET", "/v1/clients/demo/token", "") }()
	d.waitForUse(t, "demo")
	if err := d.Replace(nil, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // long enough for the request to be broken off
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := <-waits; a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// A client that was removed ends before the service does, and the service waits
// for it.
func TestReplace_EndsRemovedClients(t *testing.T) {
	f := newTenant(t)
	d, err := New(Config{Clients: []Client{kept(t, f, "demo")}})
	if err != nil {
		t.Fatal(err)
	}
	d.running.begin(context.Background(), &d.active)
	l := d.active.Load().clients["demo"].life
	if err := d.Replace(nil, nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { d.running.all.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the removed client runs on")
	}
	l.use()() // late: nothing is left to wait for it but the end
	d.running.end()
	if err := d.Replace(nil, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func TestReplace_PendingLogins(t *testing.T) {
	f := newTenant(t)
	registered := func(clientID, redirect string) Client {
		return makeClient(t, flow.Config{
			Name: "web", Issuer: f.issuer(), ClientID: clientID, ClientSecret: canarySecret,
			Source: flow.AuthorizationCode{}, RedirectURL: redirect, Scopes: []string{"offline_access"},
		}, "browser")
	}
	const at, elsewhere = "http://localhost:8484/callback", "http://localhost:9000/callback"
	first := registered("id", at)
	for name, tc := range map[string]struct {
		next []Client
		ok   bool
	}{
		"unchanged":                  {[]Client{first}, true},
		"changed, same registration": {[]Client{registered("id", at)}, true},
		"another client id":          {[]Client{registered("other", at)}, false},
		"another redirect URI":       {[]Client{registered("id", elsewhere)}, false},
		"removed":                    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, Config{Clients: []Client{first}})
			state := d.begun(t, "web")
			if err := d.Replace(tc.next, []Key{{Name: "main", Secret: mainKey}}); err != nil {
				t.Fatal(err)
			}
			a := d.raw(t, "GET /callback?code="+canaryCode+"&state="+state+" HTTP/1.1\nHost: HOST\n\n")
			if ok := a.StatusCode == 200; ok != tc.ok {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
}

func readAll(t *testing.T, r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		t.Error(err)
	}
	return string(b)
}

// A login that an old request began after the switch cannot complete for a client whose
// registration changed, or that was removed.
func TestReplace_LoginOfAnotherRegistration(t *testing.T) {
	f := newTenant(t)
	web := person(t, f, "web")
	d := start(t, Config{Clients: []Client{web}})
	keep := func(key, client, state string) {
		t.Helper()
		l := flow.PendingLogin{Key: key, Started: time.Now(), Login: login(client, state, time.Now())}
		if err := d.logins.keeper.KeepLogin(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	keep(flow.GrantKey(web.Status().Issuer, "another", "web"), "web", "other")
	keep(flow.GrantKey(web.Status().Issuer, "id", "gone"), "gone", "gone")
	for _, state := range []string{"other", "gone"} {
		if _, err := d.active.Load().finish(t.Context(), url.Values{"state": {state}, "code": {canaryCode}}, nil, ""); !errors.Is(err, flow.ErrState) {
			t.Errorf("%s: %v", state, err)
		}
	}
	keep(web.key(), "web", "offered") // with another redirect URI
	if l, ok := d.logins.offered(t.Context(), web); ok {
		t.Errorf("offered: %+v", l)
	}
}
