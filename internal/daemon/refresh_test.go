package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/tokend"
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
func TestRefresh_OfARefusedToken(t *testing.T) {
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

// Processes that were refused with the same token cause one refresh, also when one
// of them reports it after that.
func TestRefresh_SourcesOfSeveralProcessesShareIt(t *testing.T) {
	f := newTenant(t)
	f.answer(numbered())
	d := start(t, Config{Clients: []Client{kept(t, f, "demo")}})
	var sources []*tokend.Source
	for range 4 {
		c := d.dial(t, mainKey)
		s := c.Source(t.Context(), tokend.TokenRequest{Client: "demo"})
		if tok, err := s.Get(t.Context(), ""); err != nil || tok.AccessToken != "token-1" {
			t.Fatalf("%v, %v", tok, err)
		}
		sources = append(sources, s)
	}
	for _, s := range sources {
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				if tok, err := s.Get(t.Context(), "token-1"); err != nil || tok.AccessToken != "token-2" {
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

// dial returns a Go client of the service.
func (r *running) dial(t *testing.T, key tokend.Secret) *tokend.Client {
	t.Helper()
	c, err := tokend.New(tokend.Service{Addrs: []string{"http://" + r.addr}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestGoClient_ReadsErrors(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo")}})
	for _, c := range []struct {
		client string
		key    tokend.Secret
		code   string
		hint   string
	}{
		{"demo", mainKey, tokend.CodeLoginRequired, "tokend login demo --browser or --paste, or open " + f.issuer()},
		{"demo", "wrong", tokend.CodeUnauthorized, "set TOKEND_API_KEY"},
		{"demo", ciKey, "client_forbidden", ""},
		{"missing", mainKey, tokend.CodeUnknownClient, "the clients are demo"},
		{"dem", mainKey, tokend.CodeUnknownClient, "did you mean demo?"},
	} {
		_, err := d.dial(t, c.key).Token(t.Context(), tokend.TokenRequest{Client: c.client})
		var e *tokend.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.HasPrefix(e.Hint, c.hint) {
			t.Errorf("%s: %v", c.code, err)
		}
		noCanary(t, "error", fmt.Sprint(err))
	}
}

// Whatever the API shows of a client, pkg/tokend reads and writes unchanged.
func TestGoClient_ReadsEveryMemberOfAStatus(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	failure := flow.Failure{Time: at, Class: "a", Code: "b", Description: "c", Hint: "d", Remedy: "browser"}
	view := clientView{
		Status: flow.Status{
			Client: "demo", Issuer: "i", State: "s", Subject: "sub", Scope: "x", Expiry: at, Obtained: at, LastExchange: at, LoggedIn: at,
			NextRefresh: at, Generation: 3, Rotation: "on", Failure: &failure, GrantEnds: at,
			DeviceLogin: &flow.DeviceLogin{URL: "u", VerificationURI: "v", UserCode: "w", Expires: at, Failure: &failure},
		},
		Login: "browser", Hosts: []string{"h"}, AuthorizeURL: "a", LoginFailure: &failure, Env: []string{"E"},
		Files: []FileStatus{{Path: "p", Written: at, Expiry: at, Failure: "f", Hint: "g"}}, Upstreams: []string{"u"},
	}
	for _, v := range []clientView{view, {Status: flow.Status{Client: "demo"}}} {
		served, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if n := reflect.TypeFor[clientView]().NumField() - 1 + reflect.TypeFor[flow.Status]().NumField(); n != reflect.TypeFor[tokend.Status]().NumField() {
			t.Errorf("the API shows %d members, pkg/tokend reads %d", n, reflect.TypeFor[tokend.Status]().NumField())
		}
		var read tokend.Status
		d := json.NewDecoder(bytes.NewReader(served))
		d.DisallowUnknownFields()
		if err := d.Decode(&read); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(read)
		if err != nil || !bytes.Equal(again, served) {
			t.Errorf("%s\nis read as\n%s, %v", served, again, err)
		}
	}
}

func TestUnknownClient_AnswerDoesNotGrow(t *testing.T) {
	f := newTenant(t)
	var clients []Client
	for i := range 500 {
		clients = append(clients, kept(t, f, fmt.Sprintf("client-%04d", i)))
	}
	d := start(t, Config{Clients: clients})
	for name, hint := range map[string]string{
		"client-040":  `"hint":"did you mean client-0400, client-0401, client-0402?"`,
		"cleint-0400": `"hint":"tokend status lists the clients"`, // sorted elsewhere
		"other":       `"hint":"tokend status lists the clients"`,
	} {
		if a := d.call(t, "GET", "/v1/clients/"+name+"/token", ""); !strings.Contains(a.body, hint) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// A status request starts no login and sends the provider nothing.
func TestStatus_StartsNoLogin(t *testing.T) {
	f := newTenant(t)
	d := start(t, Config{Clients: []Client{person(t, f, "demo")}})
	for range 3 {
		if a := d.call(t, "GET", "/v1/clients/demo", ""); strings.Contains(a.body, "authorize_url") {
			t.Error(a.body)
		}
		if a := d.call(t, "GET", "/v1/clients", ""); strings.Contains(a.body, "authorize_url") {
			t.Error(a.body)
		}
	}
	if _, ok := d.logins.offered(t.Context(), d.active.Load().clients["demo"].Client); ok {
		t.Error("a login was started")
	}
	d.begun(t, "demo")
	if a := d.call(t, "GET", "/v1/clients/demo", ""); !strings.Contains(a.body, "authorize_url") {
		t.Error("the pending login is not shown: " + a.body)
	}
}
