package contract_test

import (
	"testing"

	"example.com/tokend/pkg/contract"
	"example.com/tokend/pkg/mock"
)

// Every case, each on a tenant that was reset.
func TestContract(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	contract.Run(t, contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/"})
}

// The cases that a real tenant can answer, with a client and a user of it.
func TestContract_WithoutControl(t *testing.T) {
	tenant := mock.Start(t, mock.Config{Login: mock.LoginForm})
	contract.Run(t, contract.Target{
		Issuer: tenant.Issuer(), ClientID: "demo", ClientSecret: "demo-secret",
		RedirectURI: "http://localhost:8484/callback", Audience: "https://api.example.com/",
		Username: "agent@example.com", Password: "password",
	})
}
