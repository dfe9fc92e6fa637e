package referees_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// signedIn is what the application of zitadel's relying party has of a person.
type signedIn struct {
	Email, State string
	Verified     bool
	Refresh, ID  string
}

// relyingParty is an application made of zitadel/oidc's handlers.
func relyingParty(t *testing.T, ten *tenant, issuer, id string) (rp.RelyingParty, string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	cookies := httphelper.NewCookieHandler([]byte(rand.Text()), []byte(rand.Text()[:16]), httphelper.WithUnsecure())
	party, err := rp.NewRelyingPartyOIDC(t.Context(), issuer, id, id+"-secret", server.URL+"/callback",
		[]string{"openid", "profile", "email", "offline_access"},
		rp.WithCookieHandler(cookies), rp.WithPKCEFromDiscovery(cookies), rp.WithSigningAlgsFromDiscovery(),
		rp.WithHTTPClient(newBrowser(t, ten).http),
		rp.WithVerifierOpts(rp.WithIssuedAtMaxAge(time.Minute)),
	)
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/login", rp.AuthURLHandler(func() string { return "state of " + t.Name() }, party, rp.WithURLParam("audience", audience)))
	mux.Handle("/callback", rp.CodeExchangeHandler(rp.UserinfoCallback(func(
		w http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], state string, _ rp.RelyingParty, user *oidc.UserInfo,
	) {
		_ = json.NewEncoder(w).Encode(signedIn{user.Email, state, bool(user.EmailVerified), tokens.RefreshToken, tokens.IDToken})
	}), party))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("home " + r.URL.RawQuery)) })
	return party, server.URL
}

// TestRefereeZitadelRP: zitadel/oidc's relying party logs in, refreshes, runs
// the device flow, revokes and logs out.
func TestRefereeZitadelRP(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const id = "zitadel"
			ten := startTenant(t)
			party, app := relyingParty(t, ten, ten.at(scheme), id)
			ten.addClient(id, object{
				"callbacks": []string{app + "/callback"}, "allowed_logout_urls": []string{app + "/"},
				"grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
			})
			person := newBrowser(t, ten)
			var got signedIn
			person.open(app+"/login").read(t, http.StatusOK, &got)
			if got.Email != "agent@example.com" || !got.Verified || got.State != "state of "+t.Name() {
				t.Errorf("logged in as %+v", got)
			}
			refreshed, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, got.Refresh, "", "")
			if err != nil {
				t.Fatal(err)
			}
			if refreshed.RefreshToken == got.Refresh || refreshed.IDTokenClaims.Subject == "" {
				t.Error("the refresh brought no successor or no ID token")
			}
			deviceFlow(t, ten, party)
			home, err := rp.EndSession(t.Context(), party, got.ID, app+"/", "bye", "", nil)
			if err != nil || home.String() != app+"/?state=bye" {
				t.Errorf("logged out to %v: %v", home, err)
			}

			if err := rp.RevokeToken(t.Context(), party, refreshed.RefreshToken, "refresh_token"); err != nil {
				t.Error(err)
			}
			_, err = rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, refreshed.RefreshToken, "", "")
			refusedWith(t, err, http.StatusForbidden, "invalid_grant")
			stale := person.until(app + "/callback").open(app + "/login").url
			ten.advance(time.Hour)
			_, err = rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), stale.Query().Get("code"), party)
			refusedWith(t, err, http.StatusForbidden, "invalid_grant")
			ten.wantCalls(id, "authorization_code 200", "refresh_token 200", "device_code 200", "refresh_token "+refreshRevoked,
				"authorization_code 403 invalid_grant: the code has expired")
		})
	}
}

func deviceFlow(t *testing.T, ten *tenant, party rp.RelyingParty) {
	t.Helper()
	device, err := rp.DeviceAuthorization(t.Context(), []string{"openid"}, party, nil)
	if err != nil {
		t.Fatal(err)
	}
	newBrowser(t, ten).open(device.VerificationURIComplete)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	token, err := rp.DeviceAccessToken(ctx, device.DeviceCode, time.Duration(device.Interval)*time.Second, party)
	if err != nil || token.AccessToken == "" {
		t.Errorf("the device has no token: %v", err)
	}
}

// refusedWith checks how the relying party reads a refusal.
func refusedWith(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *oauth2.RetrieveError
	var o *oidc.Error
	switch {
	case errors.As(err, &e):
		if e.Response.StatusCode != status || e.ErrorCode != code {
			t.Errorf("refused with %d %q", e.Response.StatusCode, e.ErrorCode)
		}
	case errors.As(err, &o):
		if string(o.ErrorType) != code {
			t.Errorf("refused with %q", o.ErrorType)
		}
	default:
		t.Errorf("not refused as expected: %v", err)
	}
}
