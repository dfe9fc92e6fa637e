package referees_test

import (
	"net/http"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// application is what an application's settings decide in the mock.
type application struct {
	ClientID   string   `json:"client_id"`
	Callbacks  []string `json:"callbacks"`
	GrantTypes []string `json:"grant_types"`
	Rotation   string
}

// exported is what auth0-deploy-cli reads of an export.
type exported struct {
	Clients                    map[string]application
	APIs, Roles, Organizations []string
	Grants                     int
}

// TestRefereeAuth0DeployCLI: auth0-deploy-cli finds the example to be an export
// that it could import, and reads of it what the mock does.
func TestRefereeAuth0DeployCLI(t *testing.T) {
	t.Parallel()
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "tenant", "tenant.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ten := startTenant(t, "MOCKAUTH0_TENANT="+example)
	s := startScript(t, ten, "auth0-deploy-cli", object{
		"file":     example,
		"excluded": []string{"users", "x-actions", "rules"}, // next to an export; and what it compares with a tenant's
	})
	var got exported
	s.read(&got)
	if len(got.Clients) != 20 || len(got.APIs) != 5 || got.Grants != 6 || len(got.Roles) != 3 || len(got.Organizations) != 3 {
		t.Errorf("auth0-deploy-cli reads %+v", got)
	}
	for name, want := range got.Clients {
		have := ten.application(name, got.APIs[0])
		if want.ClientID == "" { // an export leaves it out
			want.ClientID = have.ClientID
		}
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s: the mock has %+v, auth0-deploy-cli %+v", name, have, want)
		}
	}
	for _, api := range got.APIs {
		ten.application("Web Portal", api)
	}
	signsIn(t, ten, got.Clients["Web Portal"])
}

// application returns the mock's settings of an application by its name, which
// a grant to an API takes as exports do: both must exist.
func (ten *tenant) application(name, api string) application {
	ten.t.Helper()
	var grant struct {
		ClientID string `json:"client_id"`
	}
	ten.control(http.MethodPost, "client-grants", object{"client_id": name, "audience": api, "scope": []string{}}, &grant)
	var out struct {
		application
		RefreshToken struct {
			Rotation string `json:"rotation_type"`
		} `json:"refresh_token"`
	}
	ten.control(http.MethodPatch, "clients/"+grant.ClientID, object{}, &out)
	out.Rotation = out.RefreshToken.Rotation
	return out.application
}

// signsIn: a person logs in to an application of the example, whose action
// adds a claim.
func signsIn(t *testing.T, ten *tenant, a application) {
	t.Helper()
	party, err := rp.NewRelyingPartyOIDC(t.Context(), ten.issuer, a.ClientID, a.ClientID+"-secret", a.Callbacks[0], []string{"openid"})
	if err != nil {
		t.Fatal(err)
	}
	back := newBrowser(t, ten).until(a.Callbacks[0]).open(rp.AuthURL("state", party)).url
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), back.Query().Get("code"), party)
	if err != nil {
		t.Fatal(err)
	}
	if roles := tokens.IDTokenClaims.Claims["https://example.com/roles"]; roles != "agent " {
		t.Errorf("the action's claim is %v", roles)
	}
}
