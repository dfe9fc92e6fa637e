package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/tokend/pkg/flow"
)

// numbered answers token requests with token-1, token-2, …
func numbered() http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprint("token-", n.Add(1)), "token_type": "Bearer", "expires_in": 3600})
	}
}

// Who names the token that was refused gets a refresh only when that is the
// present one, whatever it is asked for.
func TestRefreshOfARefusedToken(t *testing.T) {
	f := newTenant(t)
	f.answer(numbered())
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	if a := d.call(t, "GET", tokenPath+"?format=text", ""); a.body != "token-1" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, c := range []struct {
		body, query, want string
		posts             int64
	}{
		{`{"refused":"token-1"}`, "", "token-2", 2},
		{`{"refused":"token-1"}`, "", "token-2", 2},
		{`{"refused":"token-2"}`, "", "token-3", 3},
		{`{}`, "", "token-4", 4},
		{"", "", "token-5", 5},
		{`{"refused":"x","audience":"https://other.example.com/","scope":"a b"}`, "&audience=https://other.example.com/&scope=b+a", "token-6", 6},
		{`{"refused":"token-6","audience":"https://other.example.com/","scope":"a b"}`, "&audience=https://other.example.com/&scope=b+a", "token-7", 7},
	} {
		if a := d.call(t, "POST", "/v1/clients/demo/refresh", c.body); a.StatusCode != 200 || strings.Contains(a.body, "token-") {
			t.Errorf("%s: %d %s", c.body, a.StatusCode, a.body)
		}
		if a := d.call(t, "GET", tokenPath+"?format=text"+c.query, ""); a.body != c.want || f.posts.Load() != c.posts {
			t.Errorf("%s: %s after %d token requests, want %s after %d", c.body, a.body, f.posts.Load(), c.want, c.posts)
		}
	}
	if a := d.call(t, "POST", "/v1/clients/demo/refresh", `{"refsed":"x"}`); a.StatusCode != 400 {
		t.Errorf("an unknown member: %d", a.StatusCode)
	}
	if strings.Contains(d.log.String(), "token-") {
		t.Error("a token is in the log")
	}
}

// Two processes that were refused with the same token cause one refresh, also
// when the second hears of it when that is over.
func TestRemotesCoalesce(t *testing.T) {
	f := newTenant(t)
	f.answer(numbered())
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	var remotes []*flow.Remote
	for range 4 {
		r, err := flow.NewRemote(flow.RemoteConfig{Client: "demo", Addr: "http://" + d.addr, Key: mainKey})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		if tok, err := r.Get(t.Context(), flow.Request{}); err != nil || tok.AccessToken != "token-1" {
			t.Fatalf("%v, %v", tok, err)
		}
		remotes = append(remotes, r)
	}
	for _, r := range remotes {
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				if tok, err := r.Get(t.Context(), flow.Request{Not: "token-1"}); err != nil || tok.AccessToken != "token-2" {
					t.Errorf("%v, %v", tok, err)
				}
			})
		}
		all.Wait()
	}
	if n := f.posts.Load(); n != 2 {
		t.Errorf("%d token requests", n)
	}
}

func TestRemoteReadsErrors(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo")}})
	for _, c := range []struct {
		client string
		key    flow.Secret
		class  flow.Class
		hint   string
	}{
		{"demo", mainKey, flow.ClassLoginRequired, "log in at " + f.issuer()},
		{"demo", "wrong", "unauthorized", ""},
		{"demo", ciKey, "client_forbidden", ""},
		{"nobody", mainKey, "unknown_client", "the clients are demo"},
	} {
		r, err := flow.NewRemote(flow.RemoteConfig{Client: c.client, Addr: "http://" + d.addr, Key: c.key})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Get(t.Context(), flow.Request{})
		r.Close()
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != c.class || !strings.HasPrefix(e.Hint, c.hint) {
			t.Errorf("%s: %v", c.class, err)
		}
		noCanary(t, "error", fmt.Sprint(err))
	}
}
