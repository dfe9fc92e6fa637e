package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	canarySecret   = "canary-client-secret-4711"
	canaryPassword = "canary-password-4711"
	canaryTenant   = `clients:
  - {name: App, client_id: app, client_secret: canary-client-secret-4711, app_type: regular_web, token_endpoint_auth_method: client_secret_post,
     callbacks: ["http://localhost:3000/callback"], grant_types: [authorization_code, refresh_token, client_credentials],
     refresh_token: {rotation_type: rotating, expiration_type: expiring, leeway: 0}}
resourceServers:
  - {name: Calls, identifier: "https://calls.example.com/", allow_offline_access: true, scopes: [{value: "read:calls"}]}
clientGrants:
  - {client_id: app, audience: "https://calls.example.com/", scope: ["read:calls"]}
users:
  - {email: canary@example.com, name: Canary Bird, password: canary-password-4711}
`
)

// application is a client made of go-oidc and x/oauth2, with a browser.
type application struct {
	t        *testing.T
	ctx      context.Context
	oauth    oauth2.Config
	provider *oidc.Provider
	browser  *http.Client
	seen     []string // what the issuer issued
}

// newApplication finds an issuer's metadata at an address.
func newApplication(t *testing.T, issuer, at string) *application {
	t.Helper()
	ctx := t.Context()
	if issuer != at {
		ctx = oidc.InsecureIssuerURLContext(ctx, issuer)
	}
	provider, err := oidc.NewProvider(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	a := &application{t: t, ctx: t.Context(), provider: provider, oauth: oauth2.Config{
		ClientID: "app", ClientSecret: canarySecret, Endpoint: provider.Endpoint(), RedirectURL: "http://localhost:3000/callback",
		Scopes: []string{"openid", "email", "offline_access"},
	}}
	a.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	a.newBrowser()
	return a
}

func (a *application) newBrowser() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// open follows redirects and fills in forms until the browser leaves for the client.
func (a *application) open(address string) url.Values {
	a.t.Helper()
	form := url.Values(nil)
	for range 12 {
		res, err := a.browser.Get(address)
		if form != nil {
			res, err = a.browser.PostForm(address, form)
		}
		if err != nil {
			a.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			a.t.Fatal(err)
		}
		for _, c := range res.Cookies() {
			a.seen = append(a.seen, c.Value)
		}
		to := res.Header.Get("Location")
		if m := regexp.MustCompile(`<form[^>]* action="([^"]+)"`).FindStringSubmatch(string(body)); to == "" && m != nil && form == nil {
			to = html.UnescapeString(m[1])
			form = url.Values{"username": {"canary@example.com"}, "password": {canaryPassword}, "action": {"accept"}}
		} else {
			form = nil
		}
		next, err := res.Request.URL.Parse(to)
		if err != nil || to == "" {
			a.t.Fatalf("%s: %s %s", address, res.Status, body)
		}
		if strings.HasPrefix(next.String(), a.oauth.RedirectURL) {
			return next.Query()
		}
		address = next.String()
	}
	a.t.Fatalf("%s leads in a circle", address)
	return nil
}

// post sends a form to the issuer and returns the status.
func (a *application) post(path string, params ...string) string {
	a.t.Helper()
	form := url.Values{"client_id": {"app"}, "client_secret": {canarySecret}}
	for i := 0; i+1 < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	base := strings.TrimSuffix(a.oauth.Endpoint.TokenURL, "oauth/token")
	res, err := http.PostForm(base+path, form)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(b))
}

// run does what the recording is of. It is the same with an issuer and with its replay.
func (a *application) run() {
	t, ctx := a.t, a.ctx
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	back := a.open(a.oauth.AuthCodeURL("s-1", oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-1"),
		oauth2.SetAuthURLParam("audience", "https://calls.example.com/")))
	if back.Get("state") != "s-1" {
		t.Errorf("the callback has %v", back)
	}
	token, err := a.oauth.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.provider.Verifier(&oidc.Config{ClientID: "app"}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "n-1" || token.RefreshToken == "" {
		t.Errorf("nonce %q, refresh token %t", id.Nonce, token.RefreshToken != "")
	}
	user, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || user.Subject != id.Subject {
		t.Fatalf("userinfo %+v %v", user, err)
	}
	next, err := a.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || next.RefreshToken == token.RefreshToken {
		t.Fatalf("the refresh: %v", err)
	}
	machine := a.post("oauth/token", "grant_type", "client_credentials", "audience", "https://calls.example.com/")
	if !strings.HasPrefix(machine, "200 ") {
		t.Errorf("client credentials: %s", machine)
	}
	for what, got := range map[string]string{
		"a code that was used": a.post("oauth/token", "grant_type", "authorization_code", "code", back.Get("code"),
			"redirect_uri", a.oauth.RedirectURL, "code_verifier", verifier),
		"an unknown refresh token": a.post("oauth/token", "grant_type", "refresh_token", "refresh_token", "canary-never-issued-47110815"),
	} {
		if !strings.HasPrefix(got, `403 {"error":"invalid_grant"`) {
			t.Errorf("%s: %s", what, got)
		}
	}
	if got := a.post("oauth/revoke", "token", next.RefreshToken); got != "200 " {
		t.Errorf("revocation: %s", got)
	}
	a.newBrowser()
	if back := a.open(a.oauth.AuthCodeURL("s-2", oauth2.SetAuthURLParam("prompt", "none"))); back.Get("error") != "login_required" {
		t.Errorf("prompt=none without a session: %v", back)
	}
	a.seen = append(a.seen, back.Get("code"), token.AccessToken, token.RefreshToken, next.AccessToken, next.RefreshToken, raw, verifier, machine[5:])
}

// A client works with a recorder and with the replay of what that recorded, the
// recording passes as a contract, and it has no secret.
func TestRecordAndReplay(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := filepath.Join(dir, "recording.json")
	tenantFile := file("tenant.yaml", canaryTenant)
	upstream := start(t, 1, map[string]string{"MOCKAUTH0_LOGIN": "form", "MOCKAUTH0_CONTROL_LISTEN": "127.0.0.1:0"}, "serve", "--tenant", tenantFile).issuers[0]
	recorder := start(t, 1, nil, "record", "--upstream", upstream, "--out", out, "--listen", "127.0.0.1:0").issuers[0]
	a := newApplication(t, upstream, recorder)
	a.run()
	if got := a.post("oauth/token", "grant_type", "client_credentials", "audience", "https://calls.example.com/", "client_secret", "canary-wrong-4711"); !strings.HasPrefix(got, "401 ") {
		t.Errorf("a wrong secret: %s", got)
	}

	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	recording := string(b)
	for _, secret := range append(a.seen, "canary", "Canary", "eyJ", "4711", "n-1", "s-1") {
		if secret != "" && strings.Contains(recording, secret) {
			t.Errorf("the recording has %q", secret)
		}
	}
	if t.Failed() {
		t.Fatal(recording)
	}

	play := func(of, issuer string) {
		t.Helper()
		code, report, errs := execute(t, "contract", "--issuer", issuer, "--cases", out, "--client-id", "app",
			"--client-secret-file", file("secret", canarySecret), "--redirect-uri", "http://localhost:3000/callback",
			"--audience", "https://calls.example.com/", "--username", "canary@example.com", "--password-file", file("password", canaryPassword))
		if code != 0 || !strings.Contains(report, " 0 failed, 0 skipped") {
			t.Errorf("the recording is not a contract of its %s: %d\n%s%s\n%s", of, code, report, errs, recording)
		}
	}
	play("issuer", upstream)

	replay := start(t, 1, map[string]string{"MOCKAUTH0_CONTROL_LISTEN": "", "MOCKAUTH0_LOGIN": "form"}, "serve", "--replay", out).issuers[0]
	play("replay", replay)
	newApplication(t, replay, replay).run()
}
