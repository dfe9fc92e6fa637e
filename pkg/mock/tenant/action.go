package tenant

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
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

// reservedClaims are claims that Auth0 drops without an error when an Action sets them
// (https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims).
const reservedClaims = `acr act active amr at_hash ath attest aud auth_time authorization_details azp c_hash client_id cnf
cty dest entitlements events exp groups gty htm htu iat internalService iss jcard jku jti jwe jwk kid may_act mky nbf
nonce object_id org_id org_name orig origid permissions roles rph s_hash sid sip_callid sip_cseq_num sip_date sip_from_tag
sip_via_branch sub sub_jwk toe txn typ uuid vot vtm x5t#S256`

// ReservedClaim reports whether Auth0 drops a claim of an Action: a reserved name, or
// a name in a namespace of its own.
func ReservedClaim(name string) bool {
	if slices.Contains(strings.Fields(reservedClaims), name) || name == "urn:auth0" || strings.HasPrefix(name, "urn:auth0:") {
		return true
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return slices.ContainsFunc([]string{"auth0.com", "webtask.io", "webtask.run"}, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

// NamespacedClaim reports whether the name of a claim is a URI. Access tokens for the
// Management API have no other claims of Actions.
func NamespacedClaim(name string) bool {
	u, err := url.Parse(name)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "")
}

// Dropped returns the names of the claims that Auth0 drops, sorted.
func (a Action) Dropped() []string {
	var out []string
	for _, claims := range []map[string]any{a.SetAccessToken, a.SetIDToken} {
		for name := range claims {
			if ReservedClaim(name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Check checks the trigger and the claims of an action.
func (a Action) Check() error {
	if a.Trigger != TriggerPostLogin && a.Trigger != TriggerCredentialsExchange {
		return fieldError("trigger", "%q is neither post-login nor credentials-exchange", a.Trigger)
	}
	if what := a.withoutEffect(); what != "" {
		return fieldError(what, "has no effect with trigger %s", a.Trigger)
	}
	if a.Error != "" && a.Deny == "" {
		return fieldError("error", "%q has no effect without deny", a.Error)
	}
	for _, claims := range []map[string]any{a.SetAccessToken, a.SetIDToken} {
		for name, value := range claims {
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

// withoutEffect returns a member that has no effect with the trigger: a machine has no
// ID token and cannot interact.
func (a Action) withoutEffect() string {
	switch {
	case a.Trigger != TriggerCredentialsExchange:
	case a.Interaction:
		return "interaction"
	case a.MFA:
		return "mfa"
	case len(a.SetIDToken) > 0:
		return "set_id_token"
	}
	return ""
}
