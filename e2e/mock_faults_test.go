package e2e_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"example.com/tokend/pkg/flow"
	"example.com/tokend/pkg/mock"
)

// seen is how clients see one fault of the answer to a code. An empty class or error
// means that the login succeeds.
type seen struct {
	fault   mock.Fault
	class   flow.Class // of tokend's login
	text    string     // in its error
	referee string     // in the error of x/oauth2 or go-oidc
}

// faultsSeen has a row for each kind of fault, and for each defect.
func faultsSeen() map[string]seen {
	return map[string]seen{
		"status":            {mock.Fault{Status: 503}, flow.ClassUnreachable, "temporarily unavailable", "temporarily_unavailable"},
		"body":              {mock.Fault{Body: `{}`}, flow.ClassBadResponse, "no access_token", "missing access_token"},
		"garbage":           {mock.Fault{}, flow.ClassBadResponse, "not a JSON object", "cannot parse json"},
		"html":              {mock.Fault{}, flow.ClassBadResponse, `content-type is "text/html`, "cannot parse json"},
		"empty":             {mock.Fault{}, flow.ClassBadResponse, "not a JSON object", "unexpected end of JSON input"},
		"redirect":          {mock.Fault{Headers: map[string]string{"Location": "http://127.0.0.1:1/"}}, flow.ClassRedirect, "redirects", "127.0.0.1:1"},
		"delay":             {mock.Fault{Delay: "10ms"}, "", "", ""},
		"hang":              {mock.Fault{}, flow.ClassTimeout, "timed out", "deadline exceeded"},
		"reset":             {mock.Fault{}, flow.ClassUnreachable, "", "/oauth/token"},
		"truncate":          {mock.Fault{}, flow.ClassBadResponse, "incomplete", "unexpected EOF"},
		"drip":              {mock.Fault{Delay: "1us"}, "", "", ""},
		"global_limit":      {mock.Fault{}, flow.ClassRateLimited, "Global limit", "access_denied"}, // a 500
		"rate_limit":        {mock.Fault{Limit: 1, Per: "1h"}, flow.ClassRateLimited, "Global limit", "too_many_requests"},
		"expired":           {mock.Fault{}, flow.ClassBadResponse, "expired on arrival", "token is expired"},
		"wrong_iss":         {mock.Fault{}, flow.ClassBadResponse, "its iss is", "issued by a different provider"},
		"wrong_aud":         {mock.Fault{}, flow.ClassBadResponse, "its aud does not name the client", "expected audience"},
		"wrong_nonce":       {mock.Fault{}, flow.ClassBadResponse, "nonce is not the one of this login", "nonce wrong-nonce"},
		"wrong_signature":   {mock.Fault{}, flow.ClassBadResponse, "its signature is wrong", "failed to verify signature"},
		"wrong_kid":         {mock.Fault{}, flow.ClassBadResponse, `key id "wrong-key-id"`, "failed to verify signature"},
		"alg_none":          {mock.Fault{}, flow.ClassBadResponse, "asymmetric algorithm", `unexpected signature algorithm "none"`},
		"missing_claim":     {mock.Fault{Claim: "sub"}, flow.ClassBadResponse, "it has no sub", "401 Unauthorized"}, // go-oidc requires no sub, /userinfo does
		"no_expires_in":     {mock.Fault{}, "", "", ""},
		"float_expires_in":  {mock.Fault{}, "", "", "cannot parse json"}, // x/oauth2 takes whole numbers only
		"string_expires_in": {mock.Fault{}, "", "", ""},
	}
}

// TestMockFaults_AreSeenByClients logs in with tokend's client and with x/oauth2 and
// go-oidc while each fault is armed. A kind or defect without a row fails.
func TestMockFaults_AreSeenByClients(t *testing.T) {
	rows := faultsSeen()
	names := slices.Sorted(maps.Keys(rows))
	defects := mockConstants(t, "Defect")
	want := slices.DeleteFunc(slices.Concat(defects, mockConstants(t, "FaultKind")), func(s string) bool { return s == string(mock.FaultToken) })
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("rows for %v, but pkg/mock has %v", names, want)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := rows[name]
			row.fault.Endpoint, row.fault.Grant, row.fault.Kind = "token", "authorization_code", mock.FaultKind(name)
			if slices.Contains(defects, name) {
				row.fault.Kind, row.fault.Defect = mock.FaultToken, mock.Defect(name)
			}
			err := flowLogin(t, row.fault)
			var e *flow.Error
			switch {
			case errors.As(err, &e) && e.Class == row.class && strings.Contains(err.Error(), row.text):
			case err != nil || row.class != "":
				t.Errorf("tokend: %v, want %q with %q", err, row.class, row.text)
			}
			err = refereeLogin(t, row.fault)
			if (err == nil) != (row.referee == "") || err != nil && !strings.Contains(err.Error(), row.referee) {
				t.Errorf("x/oauth2, go-oidc: %v, want %q", err, row.referee)
			}
		})
	}
}

// mockConstants returns the values of the constants of a type of pkg/mock.
func mockConstants(t *testing.T, typ string) (values []string) {
	t.Helper()
	files, err := filepath.Glob("../pkg/mock/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if id, named := spec.Type.(*ast.Ident); named && id.Name == typ {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("pkg/mock has no %s", typ)
	}
	return values
}

// faulty starts a tenant with a fault whose limit, if it has one, is used up.
func faulty(t *testing.T, f mock.Fault) *mock.Tenant {
	t.Helper()
	tenant := mock.Start(t, mock.Config{Faults: []mock.Fault{f}})
	if f.Limit > 0 {
		res, err := http.PostForm(tenant.Issuer()+"oauth/token", map[string][]string{"grant_type": {"authorization_code"}}) //nolint:noctx // loopback
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	return tenant
}

// loginTimeout bounds a login. Only a fault that hangs reaches it.
func loginTimeout(f mock.Fault) time.Duration {
	if f.Kind == mock.FaultHang {
		return 2 * time.Second
	}
	return 30 * time.Second
}

// flowLogin logs in with tokend's client.
func flowLogin(t *testing.T, f mock.Fault) error {
	tenant := faulty(t, f)
	client, err := flow.New(flow.Config{
		Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret", Source: flow.AuthorizationCode{Headless: true},
		RedirectURL: "http://localhost:8484/callback", Audience: "https://api.example.com/", Scopes: []string{"openid", "offline_access"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), loginTimeout(f))
	defer cancel()
	if _, err = client.LoginHeadless(ctx); err != nil {
		return err
	}
	_, err = client.Get(ctx, flow.Request{})
	return err
}

// refereeLogin logs in with x/oauth2 and go-oidc.
func refereeLogin(t *testing.T, f mock.Fault) error {
	tenant := faulty(t, f)
	direct := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(direct.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(oidc.ClientContext(t.Context(), direct), loginTimeout(f))
	defer cancel()
	provider, err := oidc.NewProvider(ctx, tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	config := tenant.OAuth2()
	config.Endpoint.TokenURL = provider.Endpoint().TokenURL
	back, err := tenant.Approve(ctx, config.AuthCodeURL("state", oidc.Nonce("n"), oauth2.SetAuthURLParam("audience", "https://api.example.com/")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Exchange(ctx, back.Get("code"))
	if err != nil {
		return err
	}
	raw, _ := got.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "demo"}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	if id.Nonce != "n" { // which the application checks itself
		return errors.New("nonce " + id.Nonce)
	}
	if !got.Valid() {
		return errors.New("the access token has expired")
	}
	_, err = provider.UserInfo(ctx, oauth2.StaticTokenSource(got))
	return err
}

// TestMockFaults_Profiles: what each profile does to a rotating grant that tokend keeps.
func TestMockFaults_Profiles(t *testing.T) {
	begin := func(t *testing.T) (*mock.Tenant, func(flow.Request) flow.Class) {
		t.Helper()
		tenant := mock.Start(t, mock.Config{Tenant: rotatingTenant(0, 3600)})
		client := newFlow(t, tenant, nil)
		return tenant, func(r flow.Request) flow.Class {
			_, err := client.Get(t.Context(), r)
			var e *flow.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			if e == nil {
				return ""
			}
			return e.Class
		}
	}
	arm := func(t *testing.T, tenant *mock.Tenant, profile string) *mock.Armed {
		t.Helper()
		a, err := tenant.Fail(mock.Fault{Profile: profile})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Run("flaky", func(t *testing.T) {
		tenant, get := begin(t)
		armed := arm(t, tenant, "flaky")
		served := 0
		for range 40 {
			tenant.Advance(2 * time.Hour)
			switch class := get(flow.Request{}); class {
			case "":
				served++
			case flow.ClassUnreachable:
			default:
				t.Fatal(class)
			}
		}
		if served < 20 || armed.Count() == 0 || tenant.Families()[0].Revoked != "" {
			t.Errorf("%d tokens, %d faults, %+v", served, armed.Count(), tenant.Families())
		}
	})
	t.Run("outage", func(t *testing.T) {
		tenant, get := begin(t)
		armed := arm(t, tenant, "outage")
		tenant.Advance(2 * time.Hour)
		if class := get(flow.Request{}); class != flow.ClassUnreachable {
			t.Error(class)
		}
		armed.Disarm()
		tenant.Advance(time.Hour)
		if class := get(flow.Request{}); class != "" {
			t.Error(class)
		}
	})
	t.Run("rate-limited", func(t *testing.T) {
		tenant, get := begin(t)
		arm(t, tenant, "rate-limited")
		for range 5 {
			if class := get(flow.Request{Force: true}); class != "" {
				t.Error(class)
			}
		}
		if class := get(flow.Request{Force: true}); class != flow.ClassRateLimited {
			t.Error(class)
		}
		tenant.Advance(11 * time.Second) // X-RateLimit-Reset has passed
		if class := get(flow.Request{Force: true}); class != "" {
			t.Error(class)
		}
	})
	t.Run("rotation-lost", func(t *testing.T) {
		tenant, get := begin(t)
		arm(t, tenant, "rotation-lost")
		tenant.Advance(2 * time.Hour)
		if class := get(flow.Request{}); class != flow.ClassUnreachable {
			t.Error(class)
		}
		tenant.Advance(time.Hour)
		if class := get(flow.Request{}); class != flow.ClassLoginRequired { // without an overlap the next use ends the family
			t.Error(class)
		}
	})
}
