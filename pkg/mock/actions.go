package mock

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"example.com/tokend/pkg/mock/tenant"
)

// actionsFor returns the actions of a trigger that concern a client.
func (t *Tenant) actionsFor(trigger, client string) []tenant.Action {
	var out []tenant.Action
	for _, a := range t.st.actions {
		if a.Trigger == trigger && (a.ClientID == "" || a.ClientID == client) {
			out = append(out, a)
		}
	}
	return out
}

// denied returns the error of the first action that denies access.
func (t *Tenant) denied(trigger, client string) *oauthError {
	for _, a := range t.actionsFor(trigger, client) {
		if a.Deny != "" {
			code := a.Error
			if code == "" {
				code = "access_denied"
			}
			return refuse(code, a.Deny).withReason("an action denied: " + a.Deny)
		}
	}
	return nil
}

// interactionRequired returns the error for prompt=none when an action needs the user.
func (t *Tenant) interactionRequired(client string) *oauthError {
	for _, a := range t.actionsFor(tenant.TriggerPostLogin, client) {
		switch {
		case a.MFA:
			return refuse("login_required", "Multifactor authentication required")
		case a.Interaction:
			return refuse("interaction_required", "An action asks the user to interact")
		}
	}
	return nil
}

// customClaims evaluates what the actions set, in the order of the names.
func (t *Tenant) customClaims(g grant, u *tenant.User) (access, id object) {
	trigger := tenant.TriggerPostLogin
	if u == nil {
		trigger = tenant.TriggerCredentialsExchange
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
		if tenant.ReservedClaim(name) {
			continue // as Auth0 does, without an error
		}
		if s, ok := value.(string); ok && strings.Contains(s, "{{") {
			value = evaluate(s, data)
		}
		o = o.with(object{{name, value}})
	}
	return o
}

// evaluate executes a template. An error becomes the claim's value, so that a test sees it.
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
