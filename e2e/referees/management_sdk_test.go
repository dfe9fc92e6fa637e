package referees_test

import (
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// TestRefereeAuth0_ManagementClient: node-auth0's ManagementClient creates, reads, lists,
// changes and deletes objects of each family. A user logs in to the last client that it
// creates.
func TestRefereeAuth0_ManagementClient(t *testing.T) {
	t.Parallel()
	const callback = "http://localhost:3000/callback"
	ten := startTenant(t)
	s := startScript(t, ten, "management", object{
		"domain": ten.domain(), "clientId": "management", "clientSecret": "management-secret", "audience": audience, "callback": callback,
	})
	var got struct{ Check, Error, ClientID, ClientSecret string }
	checks := 0
	for s.read(&got); got.ClientID == ""; s.read(&got) {
		checks++
		if got.Error != "" {
			t.Errorf("%s: %s", got.Check, got.Error)
			got.Error = ""
		}
	}
	if checks != 14 {
		t.Errorf("%d checks", checks)
	}
	party, err := rp.NewRelyingPartyOIDC(t.Context(), ten.issuer, got.ClientID, got.ClientSecret, callback, []string{"openid"})
	if err != nil {
		t.Fatal(err)
	}
	back := newBrowser(t, ten).until(callback).open(rp.AuthURL("state", party)).url
	if _, err := rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), back.Query().Get("code"), party); err != nil {
		t.Errorf("a login to the client that it created: %v", err)
	}
}
