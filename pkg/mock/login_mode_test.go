package mock_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// x-login of a client decides whether it sees pages, whatever the tenant's login mode is.
func TestLoginModeOfAClient(t *testing.T) {
	for _, c := range []struct {
		tenant mock.LoginMode
		client string
		pages  bool
	}{
		{mock.LoginAuto, "", false},
		{mock.LoginAuto, "form", true},
		{mock.LoginForm, "", true},
		{mock.LoginForm, "auto", false},
	} {
		file := tenant.Default()
		file.Clients[0].Login = c.client
		w := newWorld(t, mock.Config{Tenant: file, Login: c.tenant})
		location := w.at("GET", w.OAuth2().AuthCodeURL("s")).header.Get("Location")
		if got := strings.HasPrefix(location, "/u/login"); got != c.pages {
			t.Errorf("tenant %q, client %q: Location %s", c.tenant, c.client, location)
		}
	}
}

func TestLoginModeOfAClient_ByTheControlAPI(t *testing.T) {
	w := newWorld(t, mock.Config{Tenant: tenant.Default()})
	w.mustControl("PATCH", "/_mock/clients/demo", `{"x-login":"form"}`)
	if location := w.at("GET", w.OAuth2().AuthCodeURL("s")).header.Get("Location"); !strings.HasPrefix(location, "/u/login") {
		t.Errorf("Location %s", location)
	}
	if r := w.control("PATCH", "/_mock/clients/demo", `{"x-login":"page"}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, "x-login") {
		t.Errorf("%s", r.body)
	}
}
