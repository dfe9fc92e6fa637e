package daemon

import (
	"strings"
	"testing"
	"time"

	"example.com/tokend/pkg/flow"
)

func TestAdvise(t *testing.T) {
	const page = "http://t.test/a"
	for name, tt := range map[string]struct {
		p    problem
		want string
	}{
		"browser":                {problem{Code: "login_required", Login: "browser", AuthorizeURL: page}, "tokend login demo --browser or --paste, or open " + page},
		"browser, provider down": {problem{Code: "login_required", Login: "browser"}, "tokend login demo --browser or --paste"},
		"paste":                  {problem{Code: "login_required", Login: "paste", AuthorizeURL: page}, "tokend login demo --paste"},
		"headless":               {problem{Code: "login_required", Login: "headless", AuthorizeURL: page}, "tokend login demo"},
		"headless at a page": {
			problem{Code: "login_required", Login: "headless", Remedy: "browser", AuthorizeURL: page, Hint: "let the tenant answer, or log in"},
			"let the tenant answer, or log in: tokend login demo --browser or --paste, or open " + page,
		},
		"device":         {problem{Code: "login_required", Login: "device"}, "tokend login demo"},
		"device pending": {problem{Code: "login_required", Login: "device", UserCode: "AB-CD", VerificationURIComplete: page}, "confirm the code AB-CD at " + page},
		"password":       {problem{Code: "login_required", Hint: "correct the password, or log in again"}, "correct the password, or log in again: tokend login demo"},
		"seed":           {problem{Code: "login_required", Remedy: "setting", Hint: "give a new refresh token"}, "give a new refresh token"},
		"rejected":       {problem{Code: "client_rejected", Hint: "check client_id"}, "check client_id; tokend doctor demo --probe-secret tries the secret"},
		"rejected, bare": {problem{Code: "client_rejected"}, "compare client_id, client_secret and token_auth with the application; tokend doctor demo --probe-secret tries the secret"},
		"outcome unknown": {
			problem{Code: "idp_unreachable", Status: 503, Hint: "to retry now, log in again", method: "paste"},
			"to retry now, log in again: tokend login demo --paste",
		},
		"unavailable": {problem{Code: "idp_unreachable", Status: 503}, "try again; tokend doctor demo shows more"},
		"nonsense":    {problem{Code: "idp_bad_response", Status: 502}, "tokend doctor demo shows what the provider answers"},
		"audience":    {problem{Code: "invalid_request", Status: 400, Hint: "audience (--audience) …"}, "audience (--audience) …"},
		"internal":    {problem{Code: "internal", Status: 500}, ""},
	} {
		p := tt.p
		p.Client = "demo"
		if p.advise(); p.Hint != tt.want {
			t.Errorf("%s: %q, want %q", name, p.Hint, tt.want)
		}
	}
}

// The hint of a client's failure is complete in its state, too: a caller that prints it need not
// know what the words mean.
func TestView_HintNamesTheLogin(t *testing.T) {
	f, store := newTenant(t), flow.NewMemoryStore()
	c := makeClient(t, flow.Config{
		Name: "demo", Issuer: f.issuer(), ClientID: "demo", ClientSecret: canarySecret, Store: store,
		Source: flow.AuthorizationCode{}, RedirectURL: "http://localhost:8484/callback",
	}, "paste")
	l, err := store.Lock(t.Context(), c.Key(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	g := &flow.Grant{
		Issuer: f.issuer(), ClientID: "demo", State: flow.GrantActive, Generation: 1, RefreshToken: "rt",
		Held: time.Now().Add(time.Minute), Failure: &flow.Failure{Class: flow.ClassTimeout, Description: "unknown", Hint: "to retry now, " + flow.LoginAgain},
	}
	if err := store.Save(t.Context(), l, g); err != nil {
		t.Fatal(err)
	}
	if c.Next(t.Context()); c.Status().Failure == nil { // loads it
		t.Fatal("the stored failure is not loaded")
	}
	d := start(t, Config{Clients: []Client{c}})
	if a := d.as(t, mainKey, "GET", "/v1/clients/demo", ""); !strings.Contains(a.body, `"hint":"to retry now, log in again: tokend login demo --paste"`) {
		t.Error(a.body)
	}
}
