package mock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// serve calls the handler without a network or cookies, which is what the benchmarks measure.
func serve(b *testing.B, h http.Handler, r *http.Request, status int) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != status {
		b.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec
}

func benchTenant(b *testing.B, e *tenant.File) *mock.Tenant {
	t, err := mock.New(mock.Config{Issuer: issuer, Tenant: e})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// codeFlow is a complete flow: login, consent, code, exchange.
func codeFlow(b *testing.B, t *mock.Tenant) string {
	rec := serve(b, t, httptest.NewRequest(http.MethodGet, issuer+authorizeURL()[1:], nil), http.StatusFound)
	u, err := url.Parse(rec.Header().Get("Location"))
	if err != nil {
		b.Fatal(err)
	}
	form := pairs("grant_type", "authorization_code", "client_id", "demo", "client_secret", "demo-secret", "redirect_uri", callback, "code", u.Query().Get("code"))
	return serve(b, t, formRequest("/oauth/token", form), http.StatusOK).Body.String()
}

func BenchmarkCodeFlow(b *testing.B) {
	t := benchTenant(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		codeFlow(b, t)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
}

func BenchmarkRefresh(b *testing.B) {
	t := benchTenant(b, nil)
	form := pairs("grant_type", "refresh_token", "client_id", "demo", "client_secret", "demo-secret",
		"refresh_token", decodeJSON[tokens](b, codeFlow(b, t)).Refresh)
	b.ReportAllocs()
	for b.Loop() {
		serve(b, t, formRequest("/oauth/token", form), http.StatusOK)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
}

func BenchmarkClientCredentials(b *testing.B) {
	t := benchTenant(b, nil)
	form := ccForm()
	b.ReportAllocs()
	for b.Loop() {
		serve(b, t, formRequest("/oauth/token", form), http.StatusOK)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkClientCredentialsParallel(b *testing.B) {
	t := benchTenant(b, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			serve(b, t, formRequest("/oauth/token", ccForm()), http.StatusOK)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// largeTenant has 1,000 clients and 100,000 users.
func largeTenant() *tenant.File {
	e := tenant.Default()
	for i := range 1000 {
		e.Clients = append(e.Clients, tenant.Client{
			Name: fmt.Sprint("Client ", i), ClientID: fmt.Sprint("client-", i), ClientSecret: "secret",
			Callbacks: []string{fmt.Sprintf("https://app%d.example.com/callback", i)},
		})
	}
	for i := range 100000 {
		e.Users = append(e.Users, tenant.User{Email: fmt.Sprintf("user%d@example.com", i), Password: "password"})
	}
	return e
}

func BenchmarkNewDefault(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchTenant(b, nil)
	}
}

func BenchmarkNewLarge(b *testing.B) {
	e := largeTenant()
	b.ReportAllocs()
	for b.Loop() {
		benchTenant(b, e)
	}
}

// BenchmarkCodeFlowOfTheLastUser shows that finding a user is not a linear search.
func BenchmarkCodeFlowOfTheLastUser(b *testing.B) {
	t := benchTenant(b, largeTenant())
	target := issuer + authorizeURL("login_hint", "USER99999@example.com")[1:]
	b.ReportAllocs()
	for b.Loop() {
		serve(b, t, httptest.NewRequest(http.MethodGet, target, nil), http.StatusFound)
	}
}
