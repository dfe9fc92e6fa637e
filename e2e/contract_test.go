package e2e_test

import (
	"testing"

	"example.com/tokend/pkg/contract"
	"example.com/tokend/pkg/mock"
)

// TestContract plays every documented answer of Auth0 against the mock; each
// case is a subtest of its own name.
func TestContract(t *testing.T) {
	tenant := mock.Start(t, mock.Config{})
	contract.Run(t, contract.Target{Issuer: tenant.Issuer(), Control: tenant.Issuer() + "_mock/"})
}
