package tenant_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock/tenant"
)

func TestFieldErrorsFindsEachJoinedError(t *testing.T) {
	c := tenant.Client{ClientID: "a", TokenEndpointAuthMethod: "magic", JWT: tenant.JWTSettings{Alg: "none"}}
	err := fmt.Errorf("mock: %w", errors.Join(c.Complete(), (&tenant.Settings{SessionLifetime: -1}).Check(), errors.New("other")))
	var got []string
	for _, e := range tenant.FieldErrors(err) {
		got = append(got, e.Field)
	}
	if want := "token_endpoint_auth_method jwt_configuration.alg session_lifetime, idle_session_lifetime"; strings.Join(got, " ") != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if none := tenant.FieldErrors(errors.New("other")); none != nil {
		t.Errorf("an error without a field has %v", none)
	}
	if none := tenant.FieldErrors(nil); none != nil {
		t.Errorf("nil has %v", none)
	}
}

func TestFieldErrorNamesItsObject(t *testing.T) {
	for want, e := range map[string]tenant.FieldError{
		"login: bad":               {Field: "login", Reason: "bad"},
		"clients[1]: name: is bad": {Object: "clients[1]", Field: "name", Reason: "is bad"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The defaults that the Management API gives a new client.
func TestClientDefaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     tenant.Client
		method string
		secret bool
		grants string
	}{
		{"none", tenant.Client{Name: "A"}, "client_secret_post", true, "authorization_code implicit refresh_token client_credentials"},
		{"spa", tenant.Client{Name: "A", AppType: "spa"}, "none", false, "authorization_code implicit refresh_token client_credentials"},
		{"native", tenant.Client{Name: "A", AppType: "native"}, "none", false, "authorization_code implicit refresh_token " + tenant.GrantDeviceCode},
		{"machine", tenant.Client{Name: "A", AppType: "non_interactive"}, "client_secret_post", true, "client_credentials"},
		{"keys", tenant.Client{Name: "A", Authentication: &tenant.ClientAuth{}}, "private_key_jwt", false, "authorization_code implicit refresh_token client_credentials"},
		{"no grant", tenant.Client{Name: "A", GrantTypes: []string{}}, "client_secret_post", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.in.Complete(); err != nil {
				t.Fatal(err)
			}
			if c.in.TokenEndpointAuthMethod != c.method || (c.in.ClientSecret != "") != c.secret || strings.Join(c.in.GrantTypes, " ") != c.grants || len(c.in.ClientID) != 32 {
				t.Errorf("got %+v", c.in)
			}
		})
	}
}

func TestDefaultIsValidAndFresh(t *testing.T) {
	d := tenant.Default()
	for _, c := range d.Clients {
		if err := c.Complete(); err != nil {
			t.Error(err)
		}
	}
	d.Clients[0].Callbacks[0] = "changed"
	if again := tenant.Default(); again.Clients[0].Callbacks[0] == "changed" {
		t.Error("two default tenants share their callbacks")
	}
}
