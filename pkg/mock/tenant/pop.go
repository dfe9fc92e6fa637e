package tenant

import "errors"

// ProofOfPossession says whether the access tokens of an API are bound to a key of
// the client (https://auth0.com/docs/secure/sender-constraining).
type ProofOfPossession struct {
	Mechanism   string `json:"mechanism"` // none, mtls, dpop
	Required    bool   `json:"required,omitempty"`
	RequiredFor string `json:"required_for,omitempty"` // all_clients (default), public_clients
}

func (p *ProofOfPossession) check(of string) error {
	if p == nil {
		return nil
	}
	var missing error
	if p.Mechanism == "" {
		missing = fieldError("proof_of_possession.mechanism", "%s has none; it is one of none, mtls, dpop", of)
	}
	return errors.Join(
		missing,
		oneOf("proof_of_possession.mechanism", p.Mechanism, of, []string{"none", "mtls", "dpop"}),
		oneOf("proof_of_possession.required_for", p.RequiredFor, of, []string{"all_clients", "public_clients"}),
	)
}

// TakesDPoP reports whether the API's tokens can be bound with DPoP.
func (api *ResourceServer) TakesDPoP() bool {
	return api.ProofOfPossession != nil && api.ProofOfPossession.Mechanism == "dpop"
}

// RequiresProof reports whether the API refuses a client without a proof of
// possession. The mock cannot check a client certificate, so an API that requires
// mtls gives no token.
func (api *ResourceServer) RequiresProof(c *Client) bool {
	p := api.ProofOfPossession
	if p == nil || !p.Required || p.Mechanism == "none" || p.Mechanism == "" {
		return false
	}
	return p.RequiredFor != "public_clients" || c.Public()
}
