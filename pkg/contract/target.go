package contract

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Target is the issuer that is asked, and the client that asks. With Control
// every field but Issuer has a default, and what is given is planted; without
// it the fields say what the real tenant has, and a case that needs one which
// is empty is skipped.
//
// A real tenant fits best when the client is a regular web application with the
// grants authorization_code and refresh_token that authenticates by
// client_secret_post, and the API allows offline access and issues RS256 tokens
// of 86400 seconds.
type Target struct {
	Issuer       string       // "https://acme.eu.auth0.com/", slash at the end
	HTTPClient   *http.Client // its Transport and Timeout are used; nil: 30 s, the default transport's settings
	ClientID     string
	ClientSecret string
	RedirectURI  string // one of the client's Allowed Callback URLs; it is never fetched
	Audience     string // identifier of an API; of a mock the one that its protected resource checks

	// Control is the base of a mock's control surface, such as
	// "http://localhost:8400/_mock/". The tenant behind it is reset before every
	// case and at the end. Empty: the issuer is a real tenant.
	Control string

	Username string // a user who may sign in on the tenant's pages; empty: cases that need one are skipped
	Password string

	Now   func() time.Time                           // nil: time.Now
	Sleep func(context.Context, time.Duration) error // between requests, when the tenant's limit is used up; nil: a timer
}

const (
	defaultRedirectURI = "http://localhost:8484/callback"
	defaultAudience    = "https://api.example.com/"
	defaultTimeout     = 30 * time.Second
)

// withDefaults completes a target.
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

// check reports every fault of a target.
func (t Target) check() error {
	var faults []error
	add := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("contract: "+format, args...))
	}
	switch u, err := url.Parse(t.Issuer); {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		add("issuer %q is no http(s) URL; hint: such as https://acme.eu.auth0.com/", clip(t.Issuer))
	case !strings.HasSuffix(t.Issuer, "/"):
		add("issuer %q has no slash at the end; hint: Auth0's issuers end with one", clip(t.Issuer))
	case u.Scheme == "http" && t.Control == "" && !isLoopback(u.Hostname()):
		add("issuer %q would get the client secret in clear text; hint: use https", clip(t.Issuer))
	}
	if t.ClientID == "" && len(faults) == 0 { // with another issuer it may be a mock, which needs none
		add("client id is empty; hint: the id of a regular web application of the tenant")
	}
	if t.Control != "" {
		if u, err := url.Parse(t.Control); err != nil || u.Host == "" || !strings.HasSuffix(t.Control, "/") {
			add("control %q is no URL with a slash at the end; hint: such as http://localhost:8400/_mock/", clip(t.Control))
		}
	}
	if (t.Username == "") != (t.Password == "") {
		add("user name and password come together; hint: give both or neither")
	}
	return errors.Join(faults...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// clip keeps a value from outside short enough for a message.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// variables of every case. What the target does not have is absent, and a case
// that needs it is skipped.
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
	if t.ClientSecret != "" {
		v["basic"] = basicAuth(t.ClientID, t.ClientSecret)
	}
	if t.Control != "" {
		v["resource"] = t.Control + "resource/contract"
		v["logout_url"] = "https://app.example.com/signed-out"
		v["tenant_logout_url"] = "https://www.example.com/bye"
		v["error_page_url"] = "https://www.example.com/trouble"
		v["other_client_id"], v["other_client_secret"] = "contract-other", "contract-other-secret"
		v["organization"] = "org_test"
		v["ext"] = t.Username
	}
	if u, err := url.Parse(t.RedirectURI); err == nil && u.Host != "" {
		v["redirect_origin"] = u.Scheme + "://" + u.Host
	}
	return v
}
