package mock_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"example.com/tokend/pkg/mock"
)

// direct returns a client that keeps no connection.
func direct() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }

// machineToken gets a token of the default client for itself.
func machineToken(ctx context.Context, tenant *mock.Tenant) (string, error) {
	c := tenant.OAuth2()
	cc := clientcredentials.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: c.Endpoint.TokenURL,
		EndpointParams: map[string][]string{"audience": {api}},
	}
	tk, err := cc.Token(ctx)
	if err != nil {
		return "", err
	}
	return tk.AccessToken, nil
}

// 1,000 tenants listen at the same time, each has its own state, and none leaves a
// goroutine or a connection.
func TestAThousandTenantsInOneTest(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("all", func(t *testing.T) {
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, direct())
		tenants := make([]*mock.Tenant, 1000)
		for i := range tenants {
			tenants[i] = mock.Start(t, mock.Config{})
		}
		seen := map[string]bool{}
		for i, tenant := range tenants {
			if i%10 != 0 { // a tenth is enough
				continue
			}
			token, err := machineToken(ctx, tenant)
			if err != nil {
				t.Fatal(err)
			}
			if seen[token] {
				t.Fatal("two tenants issued the same token")
			}
			seen[token] = true
		}
		for i, tenant := range tenants {
			want := 0
			if i%10 == 0 {
				want = 1
			}
			if n := tenant.Journal().Count(mock.Query{}); n != want {
				t.Errorf("%s has %d requests in its journal, want %d", tenant.Issuer(), n, want)
			}
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// For the race detector: 32 tests in parallel, each with a tenant that it logs in to,
// whose clock it moves and in which it makes requests fail.
func TestTenantsOfParallelTests(t *testing.T) {
	for i := range 32 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			tenant := mock.Start(t, mock.Config{})
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, direct())
			config := tenant.OAuth2()
			callback, err := tenant.Approve(ctx, config.AuthCodeURL("state", oauth2.SetAuthURLParam("audience", api)))
			if err != nil {
				t.Fatal(err)
			}
			token, err := config.Exchange(ctx, callback.Get("code"))
			if err != nil {
				t.Fatal(err)
			}
			old := tenant.Now()
			tenant.Advance(time.Duration(i+1) * time.Hour)
			if moved := tenant.Now().Sub(old).Round(time.Minute); moved != time.Duration(i+1)*time.Hour {
				t.Errorf("the clock moved by %s", moved)
			}
			fail(t, tenant, mock.Fault{Endpoint: "token", Kind: mock.FaultStatus, Status: 503, Times: 1})
			expired := &oauth2.Token{RefreshToken: token.RefreshToken}
			if _, err := config.TokenSource(ctx, expired).Token(); err == nil {
				t.Error("no fault")
			}
			if _, err := config.TokenSource(ctx, expired).Token(); err != nil {
				t.Error(err)
			}
			if n := tenant.Journal().Count(mock.Query{Endpoint: "token"}); n != 3 {
				t.Errorf("%d token requests in the journal, want 3", n)
			}
		})
	}
}
