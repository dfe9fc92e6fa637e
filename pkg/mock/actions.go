package mock

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

// Action stands for a tenant's Action or Rule, declared rather than
// programmed: it denies, asks for more, or sets claims ("x-actions" in a
// tenant file).
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

const (
	triggerLogin       = "post-login"
	triggerCredentials = "credentials-exchange"
)

// reservedClaims cannot be set by an Action
// (https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims).
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "scope", "gty", "permissions", "org_id", "nonce",
	"auth_time", "at_hash", "c_hash", "sid", "acr", "amr", "client_id",
}

func (a Action) check() error {
	if a.Trigger != triggerLogin && a.Trigger != triggerCredentials {
		return faultf("trigger", "%q is neither post-login nor credentials-exchange", a.Trigger)
	}
	for _, claims := range []map[string]any{a.SetAccessToken, a.SetIDToken} {
		for name, value := range claims {
			if slices.Contains(reservedClaims, name) {
				return faultf("set claim", "%q is reserved", name)
			}
			if _, err := json.Marshal(value); err != nil {
				return faultf("set claim", "%q: %v", name, err)
			}
			if s, ok := value.(string); ok {
				if _, err := template.New("claim").Parse(s); err != nil {
					return faultf("set claim", "%q: %v", name, err)
				}
			}
		}
	}
	return nil
}

// actionsFor returns the actions of a trigger that concern a client.
func (t *Tenant) actionsFor(trigger, client string) []Action {
	var out []Action
	for _, a := range t.st.actions {
		if a.Trigger == trigger && (a.ClientID == "" || a.ClientID == client) {
			out = append(out, a)
		}
	}
	return out
}

// denied returns the refusal of the first action that denies.
func (t *Tenant) denied(trigger, client string) *oauthError {
	for _, a := range t.actionsFor(trigger, client) {
		if a.Deny != "" {
			code := a.Error
			if code == "" {
				code = "access_denied"
			}
			return refuse(code, a.Deny).because("an action denied: " + a.Deny)
		}
	}
	return nil
}

// demanded returns the refusal of prompt=none where an action wants a person.
func (t *Tenant) demanded(client string) *oauthError {
	for _, a := range t.actionsFor(triggerLogin, client) {
		switch {
		case a.MFA:
			return refuse("login_required", "Multifactor authentication required")
		case a.Interaction:
			return refuse("interaction_required", "An action asks the user to interact")
		}
	}
	return nil
}

// mfaRequired is the refusal of a token request where an action wants a second factor.
func (t *Tenant) mfaRequired(client string) *oauthError {
	for _, a := range t.actionsFor(triggerLogin, client) {
		if a.MFA {
			e := refuse("mfa_required", "Multifactor authentication required")
			e.Extra = []member{{"mfa_token", "Fe26.2*" + t.randomString(48)}}
			return e
		}
	}
	return nil
}

// customClaims evaluates what the actions set, in the order of the names.
func (t *Tenant) customClaims(g grant, u *User) (access, id object) {
	trigger := triggerLogin
	if u == nil {
		trigger = triggerCredentials
	}
	data := map[string]any{"User": u, "Client": t.st.clients[g.client]}
	for _, a := range t.actionsFor(trigger, g.client) {
		access = setClaims(access, a.SetAccessToken, data)
		id = setClaims(id, a.SetIDToken, data)
	}
	return access, id
}

func setClaims(o object, claims map[string]any, data map[string]any) object {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		value := claims[name]
		if s, ok := value.(string); ok && strings.Contains(s, "{{") {
			value = evaluate(s, data)
		}
		o = slices.DeleteFunc(o, func(m member) bool { return m.name == name })
		o = append(o, member{name, value})
	}
	return o
}

// evaluate fills a template; a fault in it becomes the claim's value, where it is seen.
func evaluate(s string, data map[string]any) string {
	tpl, err := template.New("claim").Option("missingkey=error").Parse(s)
	if err != nil {
		return fmt.Sprintf("template: %v", err)
	}
	var b strings.Builder
	if err := tpl.Execute(&b, data); err != nil {
		return fmt.Sprintf("template: %v", err)
	}
	return b.String()
}
