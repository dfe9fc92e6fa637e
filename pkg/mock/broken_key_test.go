package mock_test

import (
	"crypto/rsa"
	"math/big"
	"testing"

	"example.com/tokend/pkg/mock"
)

// A key that cannot sign is an error of the server, which goes where other errors go.
func TestBrokenKeyIsAServerError(t *testing.T) {
	key, err := mock.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	broken := &rsa.PrivateKey{PublicKey: key.Private.PublicKey, D: new(big.Int).Add(key.Private.D, big.NewInt(2)), Primes: key.Private.Primes}
	w := newWorld(t, mock.Config{Keys: []mock.Key{{Private: broken}}})
	for _, kind := range []string{"token", "id_token"} {
		r := w.get(authorizeURL("client_id", "hybrid", "response_type", kind, "nonce", "n"))
		if r.param("error") != "server_error" {
			t.Errorf("%s: %d %s", kind, r.status, r.header.Get("Location"))
		}
	}
	if r := w.post("/oauth/token", "grant_type", "client_credentials", "client_id", "demo", "client_secret", "demo-secret", "audience", api); r.status != 500 {
		t.Errorf("/oauth/token: %d %s", r.status, r.body)
	}
}
