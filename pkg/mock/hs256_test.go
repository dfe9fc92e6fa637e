package mock_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"example.com/tokend/pkg/mock"
	"example.com/tokend/pkg/mock/tenant"
)

// An ID token with HS256 is signed with the client's secret, which a client has at Auth0
// even if it does not authenticate with it.
func TestHS256_PublicClientHasASecret(t *testing.T) {
	e := richTenant()
	e.Clients = append(e.Clients, tenant.Client{
		ClientID: "page", AppType: "spa", Callbacks: []string{callback}, GrantTypes: []string{"password"}, JWT: tenant.JWTSettings{Alg: "HS256"},
	})
	w := newWorld(t, mock.Config{Tenant: e})
	secret := ""
	for _, c := range w.Clients() {
		if c.ClientID == "page" {
			secret = c.ClientSecret
		}
	}
	if len(secret) < 32 {
		t.Fatalf("the secret is %q", secret)
	}
	form := []string{"grant_type", "password", "client_id", "page", "username", agent, "password", "password", "scope", "openid"}
	id := w.post("/oauth/token", form...).tokens().ID
	jws, err := jose.ParseSignedCompact(id, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify([]byte(secret)); err != nil {
		t.Error(err)
	}
	w.post("/oauth/token", append(form, "client_secret", secret)...).refused(401, "access_denied", "Unauthorized")
}
