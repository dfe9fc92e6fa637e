package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"example.com/tokend/pkg/flow"
)

// A *Client is an oauth2.TokenSource: an HTTP client with it always sends a valid
// token.
func Example() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := flow.New(flow.Config{
		Issuer: tenant.URL + "/", ClientID: "ci", ClientSecret: "secret", Source: flow.ClientCredentials{},
	})
	if err != nil {
		panic(err)
	}
	resp, err := oauth2.NewClient(context.Background(), client).Get(tenant.URL + "/api")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	fmt.Printf("%s", body)
	// Output: hello, Bearer token-1
}

// Get can require how long the token must still be valid.
func ExampleClient_Get() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := flow.New(flow.Config{
		Issuer: tenant.URL + "/", ClientID: "ci", ClientSecret: "secret", Source: flow.ClientCredentials{},
	})
	if err != nil {
		panic(err)
	}
	token, err := client.Get(context.Background(), flow.Request{MinValidity: 10 * time.Minute})
	if err != nil {
		panic(err)
	}
	fmt.Println(token.AccessToken, token.AccessToken.Reveal())
	// Output: [redacted] token-1
}

// An API may reject a token before its expiry. A Transport then gets another one
// and retries once; it sends tokens only to its upstreams.
func ExampleTransport() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := flow.New(flow.Config{
		Issuer: tenant.URL + "/", ClientID: "ci", ClientSecret: "secret", Source: flow.ClientCredentials{},
	})
	if err != nil {
		panic(err)
	}
	api, err := flow.ParseUpstream(tenant.URL+"/api", false)
	if err != nil {
		panic(err)
	}
	transport := &flow.Transport{Source: client, Upstreams: []*url.URL{api}}
	c := &http.Client{Transport: transport}
	defer c.CloseIdleConnections()
	resp, err := c.Get(tenant.URL + "/api/calls")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Printf("%s\n", body)
	_, err = c.Get(tenant.URL + "/elsewhere")
	var e *flow.Error
	fmt.Println(errors.As(err, &e), e.Class)
	// Output:
	// hello, Bearer token-1
	// true upstream_forbidden
}

// A login in a browser has two steps: where to send the person, and the query of
// the callback.
func ExampleClient_Login() {
	client, err := flow.New(flow.Config{
		Issuer: "https://acme.eu.auth0.com/", ClientID: "abc", ClientSecret: "secret", RedirectURL: "http://localhost:8484/callback",
	})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	logins := map[string]flow.Login{}
	http.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		l, err := client.Login(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		mu.Lock()
		logins[l.State] = l
		mu.Unlock()
		http.Redirect(w, r, l.URL, http.StatusFound)
	})
	http.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		l := logins[r.URL.Query().Get("state")]
		delete(logins, l.State)
		mu.Unlock()
		if _, err := client.Finish(r.Context(), l, r.URL.Query()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "done")
	})
}

// exampleTenant is a provider for client credentials, and an API.
func exampleTenant() *httptest.Server {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": srv.URL + "/", "token_endpoint": srv.URL + "/oauth/token", "jwks_uri": srv.URL + "/jwks"})
	})
	mux.HandleFunc("/oauth/token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600})
	})
	api := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello, %s", r.Header.Get("Authorization"))
	}
	mux.HandleFunc("/api", api)
	mux.HandleFunc("/api/", api)
	return srv
}
