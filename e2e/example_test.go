package e2e_test

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/mock"
)

// In a test, mock.Start takes the *testing.T. The tenant logs the user in without
// pages, and both sides have one clock.
func Example_login() {
	t := &exampleTB{}
	defer t.end()
	ctx := context.Background()

	tenant := mock.Start(t, mock.Config{})
	client, err := flow.New(flow.Config{
		Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret",
		RedirectURL: "http://localhost:8484/callback",
		Audience:    "https://api.example.com/",
		Scopes:      []string{"openid", "offline_access", "read:calls"},
		Now:         tenant.Now,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	login, err := client.Login(ctx)
	if err != nil {
		t.Fatalf("%v", err)
	}
	callback, err := tenant.Approve(ctx, login.URL, mock.AsUser("agent@example.com"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := client.Finish(ctx, login, callback); err != nil {
		t.Fatalf("%v", err)
	}
	first, err := client.Get(ctx, flow.Request{})
	if err != nil {
		t.Fatalf("%v", err)
	}

	tenant.Advance(25 * time.Hour) // the access token expires
	second, err := client.Get(ctx, flow.Request{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(first.Scope)
	fmt.Println("new token:", first.AccessToken.Reveal() != second.AccessToken.Reveal())
	fmt.Println("refreshes:", tenant.Journal().Count(mock.Query{Grant: "refresh_token"}))
	// Output:
	// openid offline_access read:calls
	// new token: true
	// refreshes: 1
}

// A program logs in without a browser and calls an API with its grant.
func Example_headless() {
	t := &exampleTB{}
	defer t.end()
	ctx := context.Background()

	tenant := mock.Start(t, mock.Config{})
	client, err := flow.New(flow.Config{
		Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret",
		Source:      flow.AuthorizationCode{Headless: true},
		RedirectURL: "http://localhost:8484/callback",
		Audience:    "https://api.example.com/",
		Scopes:      []string{"openid", "offline_access"},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := client.LoginHeadless(ctx); err != nil {
		t.Fatalf("%v", err)
	}
	res, err := oauth2.NewClient(ctx, client).Get(tenant.Issuer() + "_mock/resource/calls")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = res.Body.Close() }()
	fmt.Println(res.StatusCode)
	// Output: 200
}

// exampleTB replaces *testing.T, which an example does not have.
type exampleTB struct{ cleanup []func() }

func (*exampleTB) Helper() {}

func (tb *exampleTB) Cleanup(f func()) { tb.cleanup = append(tb.cleanup, f) }

func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (tb *exampleTB) end() {
	for _, f := range tb.cleanup {
		f()
	}
}
