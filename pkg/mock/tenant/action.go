package tenant

import (
	"encoding/json"
	"slices"
	"text/template"
)

// Action declares the effect of a tenant's Action or Rule, which the mock does not
// run: it denies access, requires interaction or MFA, or sets claims ("x-actions" in
// a tenant file).
type Action struct {
	Trigger        string         `json:"trigger"`             // post-login, credentials-exchange
	ClientID       string         `json:"client_id,omitempty"` // "": every client
	Deny           string         `json:"deny,omitempty"`      // the message of api.access.deny
	Error          string         `json:"error,omitempty"`     // with Deny; "" is access_denied
	Interaction    bool           `json:"interaction,omitempty"`
	MFA            bool           `json:"mfa,omitempty"`
	SetAccessToken map[string]any `json:"set_access_token,omitempty"` // strings are text/template with .User and .Client
	SetIDToken     map[string]any `json:"set_id_token,omitempty"`
}

// The triggers of an Action.
const (
	TriggerPostLogin           = "post-login"
	TriggerCredentialsExchange = "credentials-exchange"
)

// reservedClaims are claims that an Action cannot set
// (https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims).
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "scope", "gty", "permissions", "org_id", "nonce",
	"auth_time", "at_hash", "c_hash", "sid", "acr", "amr", "client_id",
}

// Check checks the trigger and the claims of an action.
func (a Action) Check() error {
	if a.Trigger != TriggerPostLogin && a.Trigger != TriggerCredentialsExchange {
		return fieldError("trigger", "%q is neither post-login nor credentials-exchange", a.Trigger)
	}
	for _, claims := range []map[string]any{a.SetAccessToken, a.SetIDToken} {
		for name, value := range claims {
			if slices.Contains(reservedClaims, name) {
				return fieldError("set claim", "%q is reserved", name)
			}
			if _, err := json.Marshal(value); err != nil {
				return fieldError("set claim", "%q: %v", name, err)
			}
			if s, ok := value.(string); ok {
				if _, err := template.New("claim").Parse(s); err != nil {
					return fieldError("set claim", "%q: %v", name, err)
				}
			}
		}
	}
	return nil
}
