package mock_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/oauth2"

	"example.com/tokend/pkg/mock"
)

// In a test, t is the *testing.T.
func ExampleStart() {
	t := &exampleT{}
	defer t.end()

	tenant := mock.Start(t, mock.Config{})
	config := tenant.OAuth2()
	callback, err := tenant.Approve(context.Background(), config.AuthCodeURL("state"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	token, err := config.Exchange(context.Background(), callback.Get("code"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(token.Type(), token.RefreshToken != "", callback.Get("state"))
	// Output: Bearer true state
}

// exampleT replaces *testing.T, which an example does not have.
type exampleT struct{ cleanups []func() }

func (*exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }
func (*exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) end() {
	for _, f := range t.cleanups {
		f()
	}
}

// A tenant is an http.Handler; mount it where the code under test expects it.
func ExampleNew() {
	tenant, err := mock.New(mock.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(tenant)
	defer server.Close()
	res, err := http.Get(server.URL + "/.well-known/openid-configuration")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close() //nolint:errcheck // not read
	fmt.Println(res.Status, res.Header.Get("Content-Type"))
	// Output: 200 OK application/json; charset=utf-8
}

// Advance lets the access token expire; the refresh token lives longer.
func ExampleTenant_Advance() {
	tenant, client := exampleTenant()
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	config := tenant.OAuth2()
	callback, err := tenant.Approve(ctx, config.AuthCodeURL("s"))
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := config.Exchange(ctx, callback.Get("code"))
	if err != nil {
		fmt.Println(err)
		return
	}
	tenant.Advance(25 * time.Hour)
	again, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	fmt.Println(err, again.AccessToken != token.AccessToken)
	fmt.Println(tenant.Journal().Count(mock.Query{Endpoint: "token", Grant: "refresh_token"}))
	// Output:
	// <nil> true
	// 1
}

// A fault makes requests to one endpoint fail.
func ExampleTenant_Fail() {
	tenant, client := exampleTenant()
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	fault, err := tenant.Fail(mock.Fault{Endpoint: "token", Times: 1, Kind: mock.FaultStatus, Status: http.StatusTooManyRequests})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = tenant.OAuth2().Exchange(ctx, "code")
	fmt.Println(err)
	fmt.Println(fault.Count())
	// Output:
	// oauth2: "too_many_requests" "Global limit has been reached"
	// 1
}

// A test asserts on the calls that the code under test made.
func ExampleTenant_Calls() {
	t := &exampleT{} // in a test, the *testing.T
	tenant, client := exampleTenant()
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	_, err := tenant.OAuth2().Exchange(ctx, "code")
	fmt.Println(err != nil)
	tenant.Calls(mock.Token).Once(t)
	tenant.Calls(mock.Token).Grant("refresh_token").Never(t)
	fmt.Println(tenant.Calls(mock.Token).List()[0].Reason)
	// Output:
	// true
	// invalid_grant: the code was never issued
}

// exampleTenant returns a tenant and a client that calls it without a network.
func exampleTenant() (*mock.Tenant, *http.Client) {
	tenant, err := mock.New(mock.Config{Issuer: "http://tenant.test/"})
	if err != nil {
		panic(err)
	}
	return tenant, &http.Client{Transport: handlerTransport{tenant}}
}

type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result(), nil
}
