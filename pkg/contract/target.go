package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Target is an issuer and a client of it. With Control every field except Issuer has a
// default, and the runner creates the client, the API and the user. Without Control
// the fields describe a real tenant; a case that needs an empty field is skipped.
//
// Most cases run with a client that is a regular web application, has the grants
// authorization_code and refresh_token, and uses client_secret_post, and with an API
// that allows offline access and issues RS256 tokens of 86400 seconds.
type Target struct {
	Issuer       string       // "https://acme.eu.auth0.com/", with a trailing slash
	HTTPClient   *http.Client // for its Transport and Timeout; nil: a default transport and 30 s
	ClientID     string
	ClientSecret string
	RedirectURI  string // one of the client's Allowed Callback URLs; it is never fetched
	Audience     string // identifier of an API; on a mock the one of its protected resource

	// Control is the base of a mock's control API, such as
	// "http://localhost:8400/_mock/". Each case resets that tenant, and so does the
	// end. "" means a real tenant.
	Control string

	// Management plays the cases of the Management API instead of those of logins and
	// tokens. A mock mints the token for it; a real tenant needs ManagementToken, and
	// only the cases that change nothing run there.
	Management      bool
	ManagementToken string

	Username string // a user who can log in on the tenant's pages; "": cases that need one are skipped
	Password string

	Recording *Recording // its cases run instead of the documented ones

	Now   func() time.Time                           // nil: time.Now
	Sleep func(context.Context, time.Duration) error // waits for the tenant's rate limit; nil: a timer
}

// Format implements [fmt.Formatter] and masks the secrets for every verb.
func (t Target) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "target "+t.Issuer) }

const (
	defaultRedirectURI = "http://localhost:8484/callback"
	defaultAudience    = "https://api.example.com/"
	defaultTimeout     = 30 * time.Second
)

// withDefaults returns the target with its defaults.
func (t Target) withDefaults() Target {
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.Sleep == nil {
		t.Sleep = sleep
	}
	if t.Control == "" {
		return t
	}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&t.ClientID, "contract-client"},
		{&t.ClientSecret, "contract-client-secret"},
		{&t.RedirectURI, defaultRedirectURI},
		{&t.Audience, defaultAudience},
		{&t.Username, "contract@example.com"},
		{&t.Password, "contract-password"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check reports every invalid field of a target.
func (t Target) check() error {
	var errs []error
	add := func(hint, format string, args ...any) {
		errs = append(errs, hinted(hint, "contract: "+format, args...))
	}
	switch u, err := url.Parse(t.Issuer); {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		add("give a URL like https://acme.eu.auth0.com/", "issuer %q is not an http or https URL", clip(t.Issuer))
	case !strings.HasSuffix(t.Issuer, "/"):
		add("append one, as Auth0's issuers have", "issuer %q has no trailing slash", clip(t.Issuer))
	case u.Scheme == "http" && t.Control == "" && !isLoopback(u.Hostname()):
		add("use https", "issuer %q would get the client secret in clear text", clip(t.Issuer))
	}
	if t.ClientID == "" && len(errs) == 0 && !t.Management { // with a wrong issuer it may still be a mock, which needs none
		add("give the client_id of a regular web application of the tenant", "client_id is empty")
	}
	if t.Control != "" {
		if u, err := url.Parse(t.Control); err != nil || u.Host == "" || !strings.HasSuffix(t.Control, "/") {
			add("give a URL like http://localhost:8400/_mock/", "control %q is not a URL with a trailing slash", clip(t.Control))
		}
	}
	if (t.Username == "") != (t.Password == "") {
		add("set both or neither", "username and password must both be set")
	}
	if t.Recording != nil {
		if err := t.Recording.empty(); err != nil {
			errs = append(errs, err)
		}
		if t.Management {
			add("leave one of them out", "a recording has no cases of the Management API, so the two cannot be combined")
		}
	}
	return errors.Join(errs...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// clip shortens a value for a message.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// variables returns the variables of every case. A field that is empty has none.
func (t Target) variables() variables {
	v := variables{"issuer": t.Issuer, "client_id": t.ClientID}
	for name, value := range map[string]string{
		"client_secret": t.ClientSecret, "redirect_uri": t.RedirectURI, "audience": t.Audience,
		"username": t.Username, "password": t.Password,
	} {
		if value != "" {
			v[name] = value
		}
	}
	if t.ManagementToken != "" {
		v["management"] = t.ManagementToken
	}
	v["management_api"] = url.PathEscape(t.Issuer + "api/v2/")
	if t.ClientSecret != "" {
		v["basic"] = basicAuth(t.ClientID, t.ClientSecret)
	}
	if t.Control != "" {
		v["resource"] = t.Control + "resource/contract"
		v["logout_url"] = "https://app.example.com/signed-out"
		v["tenant_logout_url"] = "https://www.example.com/bye"
		v["error_page_url"] = "https://www.example.com/trouble"
		v["other_client_id"], v["other_client_secret"] = "contract-other", "contract-other-secret"
		v["obo_client_id"], v["obo_client_secret"] = "contract-api-client", "contract-api-client-secret"
		v["organization"] = "org_test"
		v["ext"] = t.Username
	}
	if u, err := url.Parse(t.RedirectURI); err == nil && u.Host != "" {
		v["redirect_origin"] = u.Scheme + "://" + u.Host
	}
	return v
}
