package e2e_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// newFlow returns a logged-in client of the tenant's first application.
func newFlow(t *testing.T, tenant *mock.Tenant, change func(*flow.Config)) *flow.Client {
	t.Helper()
	c := flow.Config{
		Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret",
		Source: flow.AuthorizationCode{Headless: true}, RedirectURL: "http://localhost:8484/callback",
		Audience: "https://api.example.com/", Scopes: []string{"openid", "profile", "offline_access"},
		Now: tenant.Now,
	}
	if change != nil {
		change(&c)
	}
	client, err := flow.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.LoginHeadless(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestFlow_KeepsRotatingGrant: hundreds of expiries with rotation and no overlap:
// one request each, and the family is not revoked.
func TestFlow_KeepsRotatingGrant(t *testing.T) {
	file := tenant.Default()
	file.Clients[0].RefreshToken = &tenant.RefreshPolicy{RotationType: "rotating", ExpirationType: "non-expiring"}
	tenant := mock.Start(t, mock.Config{Tenant: file})
	client := newFlow(t, tenant, nil)
	const expiries = 200
	last := ""
	for range expiries {
		tenant.Advance(25 * time.Hour)
		token, err := client.Get(t.Context(), flow.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if token.AccessToken.Reveal() == last {
			t.Fatal("an expired token was served again")
		}
		last = token.AccessToken.Reveal()
	}
	if n := tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "refresh_token"}); n != expiries {
		t.Errorf("%d refreshes for %d expiries", n, expiries)
	}
	families := tenant.Families()
	if len(families) != 1 || families[0].Revoked != "" || families[0].Generation != expiries+1 {
		t.Errorf("families: %+v", families)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tenant.Issuer()+"_mock/resource/calls", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+last)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Errorf("the protected API answers %s %s", res.Status, b)
	}
}

// TestFlow_LoginByPerson: Login and Finish with the tenant's simulated browser,
// on its login pages.
func TestFlow_LoginByPerson(t *testing.T) {
	for _, mode := range []mock.LoginMode{mock.LoginAuto, mock.LoginForm} {
		t.Run(string(mode), func(t *testing.T) {
			tenant := mock.Start(t, mock.Config{Login: mode})
			client, err := flow.New(flow.Config{
				Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret", RedirectURL: "http://localhost:8484/callback",
				Audience: "https://api.example.com/", Scopes: []string{"openid", "offline_access"},
			})
			if err != nil {
				t.Fatal(err)
			}
			login, err := client.Login(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			back, err := tenant.Approve(t.Context(), login.URL)
			if err != nil {
				t.Fatal(err)
			}
			grant, err := client.Finish(t.Context(), login, back)
			if err != nil {
				t.Fatal(err)
			}
			if grant.RefreshToken == "" || grant.Subject == "" {
				t.Errorf("an incomplete grant: %v", grant)
			}
			if _, err := client.Finish(t.Context(), login, back); err == nil {
				t.Error("the same code was exchanged twice")
			}
			if _, err := client.Get(t.Context(), flow.Request{}); err != nil {
				t.Error(err)
			}
		})
	}
}
