package referees_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// password gets an access token by the password grant, without any SDK.
func (ten *tenant) password(issuer, client string, more url.Values) string {
	ten.t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "client_id": {client}, "client_secret": {client + "-secret"},
		"username": {"agent@example.com"}, "password": {"password"}, "audience": {audience}, "scope": {"openid read:calls"},
	}
	for k, v := range more {
		form[k] = v
	}
	p, _ := newBrowser(ten.t, ten).do(http.MethodPost, mustURL(ten.t, issuer+"oauth/token"), form)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(p.body), &token); err != nil || token.AccessToken == "" {
		ten.t.Fatalf("no token: %d %s", p.status, p.body)
	}
	return token.AccessToken
}

func mustURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestRefereeExpressOAuth2JWTBearer: an API takes the tenant's access tokens,
// and refuses those that expired, are for another API or lack a scope.
func TestRefereeExpressOAuth2JWTBearer(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ten := startTenant(t)
			ten.addClient("caller", object{"grant_types": []string{"password"}})
			ten.control(http.MethodPost, "resource-servers", object{"name": "Other", "identifier": "https://other.example.com/"}, nil)
			issuer := ten.at(scheme)
			api := startApp(t, ten, "express-oauth2-jwt-bearer", "unused", object{"issuer": issuer, "audience": audience})

			good := ten.password(issuer, "caller", nil)
			otherAPI := ten.password(issuer, "caller", url.Values{"audience": {"https://other.example.com/"}})
			noScope := ten.password(issuer, "caller", url.Values{"scope": {"openid write:calls"}})
			foreign := ten.password(ten.other(issuer), "caller", nil)
			ten.advance(-25 * time.Hour) // what is signed from here on expired an hour ago
			expired := ten.password(issuer, "caller", nil)
			for _, c := range []struct {
				name, token string
				status      int
				challenge   string
			}{
				{"a good token", good, 200, ""},
				{"a forged one", good[:len(good)-8] + "AAAAAAAA", 401, `error="invalid_token"`},
				{"of another API", otherAPI, 401, `Unexpected 'aud' value`},
				{"without the scope", noScope, 403, `error="insufficient_scope"`},
				{"expired", expired, 401, `'exp' claim timestamp check failed`},
				{"of the other issuer", foreign, 401, `Unexpected 'iss' value`},
			} {
				res, err := newBrowser(t, ten).bearer(api.url+"/calls", c.token)
				if err != nil {
					t.Fatal(err)
				}
				challenge := res.Header.Get("WWW-Authenticate")
				if res.StatusCode != c.status || !strings.Contains(challenge, c.challenge) {
					t.Errorf("%s: %d %s", c.name, res.StatusCode, challenge)
				}
			}
		})
	}
}

// other returns the issuer that the given one is not.
func (ten *tenant) other(issuer string) string {
	if issuer == ten.https {
		return ten.issuer
	}
	return ten.https
}
