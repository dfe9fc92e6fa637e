package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The names of the programs in the results.
const (
	ours     = "mockauth0"
	axa      = "axa"
	panva    = "oidc-provider"
	mockoidc = "mockoidc"
	limit    = "limit"
	hello    = "gin hello"
)

const discovery = "/.well-known/openid-configuration"

// mock is a program with what a client needs to know of it.
type mock struct {
	program
	authorize, token string
	audience         string // see client
	session          bool   // the client logs in once and keeps its cookies
	machine          bool   // has the grant client_credentials
}

func programs(dir string) ([]mock, error) {
	tenant, err := tenantFile(dir)
	if err != nil {
		return nil, err
	}
	own := []string{"MOCKAUTH0_LISTEN=127.0.0.1:0"}
	return []mock{
		{program{ours, []string{dir + "/mockauth0", "--tenant", tenant}, own, discovery}, "/authorize", "/oauth/token", "audience", false, true},
		{program{axa, []string{node(), "peers/npm/axa.mjs"}, nil, discovery}, "/authorize", "/token", "aud", false, true},
		{program{panva, []string{node(), "peers/npm/oidc-provider.mjs"}, nil, discovery}, "/auth", "/token", "resource", true, true},
		{program{mockoidc, []string{dir + "/mockoidc"}, nil, "/oidc" + discovery}, "/oidc/authorize", "/oidc/token", "", false, false},
		{program{limit, []string{dir + "/limit"}, nil, "/"}, "/authorize", "/oauth/token", "", false, true},
		{program{hello, []string{dir + "/bare"}, nil, "/v1/clients/demo/token"}, "", "", "", false, false},
	}, nil
}

// users of the tenant file: one for each operation of a turn, so that the mock signs
// every token, although it does not sign equal claims twice in a second.
const users = 1000

func user(i int) string { return fmt.Sprintf("user%d@example.com", i%users) }

// tenantFile writes a tenant with the default one's client and API and many users.
func tenantFile(dir string) (string, error) {
	var w strings.Builder
	w.WriteString(`{"clients":[{"name":"Demo","client_id":"demo","client_secret":"demo-secret","app_type":"regular_web",` +
		`"callbacks":["` + callback + `"],"grant_types":["authorization_code","refresh_token","client_credentials"]}],` +
		`"resourceServers":[{"name":"Calls","identifier":"` + api + `","allow_offline_access":true,"scopes":[{"value":"read:calls"}]}],` +
		`"clientGrants":[{"client_id":"demo","audience":"` + api + `","scope":["read:calls"]}],"users":[`)
	for i := range users {
		if i > 0 {
			w.WriteString(",")
		}
		fmt.Fprintf(&w, "\n"+`{"email":%q,"password":"password"}`, user(i))
	}
	w.WriteString("]}\n")
	file := filepath.Join(dir, "tenant.json")
	return file, os.WriteFile(file, []byte(w.String()), 0o600)
}

// running is a mock that serves, with its client.
type running struct {
	mock
	*server
	*client
	n int // operations, for their users
}

// startAll starts the mocks that have endpoints and lets each warm up.
func startAll(ctx context.Context, mocks []mock) ([]*running, error) {
	var all []*running
	for _, m := range mocks {
		if m.token == "" {
			continue
		}
		s, _, err := start(ctx, m.program)
		if err != nil {
			stopAll(all)
			return nil, err
		}
		r := &running{mock: m, server: s, client: newClient(s, m.authorize, m.token)}
		r.client.audience, r.client.scope = m.audience, "openid profile email offline_access"
		if m.name == mockoidc { // it refuses offline_access, and issues refresh tokens always
			r.client.scope = "openid profile email"
		}
		all = append(all, r)
		if m.session {
			if err := r.keepSession(ctx); err != nil {
				stopAll(all)
				return nil, err
			}
		}
	}
	return all, nil
}

func stopAll(all []*running) {
	for _, r := range all {
		r.stop()
	}
}
