package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"example.com/tokend/pkg/mock"
)

// referee is a client with golang.org/x/oauth2 and go-oidc.
type referee struct {
	tenant   *mock.Tenant
	config   *oauth2.Config
	provider *oidc.Provider
}

func newReferee(t *testing.T) (context.Context, *referee) {
	t.Helper()
	tenant := mock.Start(t, mock.Config{})
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	cfg := tenant.OAuth2()
	cfg.Endpoint = provider.Endpoint() // AuthStyleAutoDetect: Basic first
	return ctx, &referee{tenant: tenant, config: cfg, provider: provider}
}

// code logs in and returns an authorization code.
func (r *referee) code(ctx context.Context, t *testing.T, opts ...oauth2.AuthCodeOption) string {
	t.Helper()
	back, err := r.tenant.Approve(ctx, r.config.AuthCodeURL("xyzABC123", opts...))
	if err != nil {
		t.Fatal(err)
	}
	if back.Get("state") != "xyzABC123" || back.Get("error") != "" {
		t.Fatalf("sent back with state %q, error %q", back.Get("state"), back.Get("error"))
	}
	return back.Get("code")
}

// TestReferee_OIDC: the unmodified go-oidc and x/oauth2 complete their normal
// flow.
func TestReferee_OIDC(t *testing.T) {
	ctx, r := newReferee(t)
	verifier := oauth2.GenerateVerifier()
	audience := oauth2.SetAuthURLParam("audience", "https://api.example.com/")
	code := r.code(ctx, t, oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-0S6_WzA2Mj"), audience)
	token, err := r.config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the token lives %s, not a day", left)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := r.provider.Verifier(&oidc.Config{ClientID: "demo"}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "n-0S6_WzA2Mj" {
		t.Errorf("nonce %q", id.Nonce)
	}
	info, err := r.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != id.Subject || info.Email != "agent@example.com" || !info.EmailVerified {
		t.Errorf("userinfo %+v does not fit the ID token's subject %q", info, id.Subject)
	}

	// Expired by the mock's clock, and refreshed by x/oauth2's own token source.
	r.tenant.Advance(25 * time.Hour)
	if _, err := r.provider.UserInfo(ctx, oauth2.StaticTokenSource(token)); err == nil {
		t.Error("/userinfo takes an expired token")
	}
	stale := *token
	stale.Expiry = time.Now().Add(-time.Minute)
	renewed, err := r.config.TokenSource(ctx, &stale).Token()
	if err != nil {
		t.Fatal(err)
	}
	if renewed.AccessToken == token.AccessToken || renewed.RefreshToken != token.RefreshToken {
		t.Error("the refreshed token is not a new one of the same grant")
	}
	res, err := r.config.Client(ctx, renewed).Get(r.tenant.Issuer() + "_mock/resource/calls")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the protected API answers %s", res.Status)
	}
}

// TestReferee_Refusals: what must be rejected, and how the referee reports it.
func TestReferee_Refusals(t *testing.T) {
	refused := func(t *testing.T, err error, status int, code string) {
		t.Helper()
		var e *oauth2.RetrieveError
		if !errors.As(err, &e) {
			t.Fatalf("got %v, want a RetrieveError", err)
		}
		if e.Response.StatusCode != status || e.ErrorCode != code {
			t.Errorf("refused with %d %q, want %d %q", e.Response.StatusCode, e.ErrorCode, status, code)
		}
	}
	t.Run("token.code.expired", func(t *testing.T) {
		ctx, r := newReferee(t)
		code := r.code(ctx, t)
		r.tenant.Advance(time.Hour)
		_, err := r.config.Exchange(ctx, code)
		refused(t, err, http.StatusForbidden, "invalid_grant")
	})
	t.Run("token.redirect_uri.mismatch", func(t *testing.T) {
		ctx, r := newReferee(t)
		code := r.code(ctx, t)
		r.config.RedirectURL = "http://localhost:3000/callback"
		_, err := r.config.Exchange(ctx, code)
		refused(t, err, http.StatusForbidden, "unauthorized_client")
	})
	t.Run("token.client.wrong_secret", func(t *testing.T) {
		ctx, r := newReferee(t)
		code := r.code(ctx, t)
		r.config.ClientSecret = "wrong"
		_, err := r.config.Exchange(ctx, code)
		refused(t, err, http.StatusUnauthorized, "access_denied")
		r.config.ClientSecret = "demo-secret" // Basic was tried first, and did not use up the code
		if _, err := r.config.Exchange(ctx, code); err != nil {
			t.Error(err)
		}
	})
	t.Run("token.refresh.revoked", func(t *testing.T) {
		ctx, r := newReferee(t)
		token, err := r.config.Exchange(ctx, r.code(ctx, t))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.PostForm(r.tenant.Issuer()+"oauth/revoke", map[string][]string{ //nolint:noctx // a plain client
			"client_id": {"demo"}, "client_secret": {"demo-secret"}, "token": {token.RefreshToken},
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		token.Expiry = time.Now().Add(-time.Minute)
		_, err = r.config.TokenSource(ctx, token).Token()
		refused(t, err, http.StatusForbidden, "invalid_grant")
	})
	t.Run("authorize.callback.mismatch", func(t *testing.T) {
		ctx, r := newReferee(t)
		r.config.RedirectURL = "https://evil.example/cb"
		if back, err := r.tenant.Approve(ctx, r.config.AuthCodeURL("s")); err == nil {
			t.Errorf("the browser was sent away with %v", back)
		}
	})
}
