package management

import (
	"net/http"
	"slices"
)

// DefaultTenant sets the members that the settings of every tenant have.
func DefaultTenant(d Doc) {
	setDefault(d, Doc{
		"allowed_logout_urls": []any{}, "acr_values_supported": []any{}, "enabled_locales": []any{"en"}, "flags": Doc{},
		"session_lifetime": 168, "idle_session_lifetime": 72, "sandbox_version": "22", "sandbox_versions_available": []any{"22", "18"},
		"session_cookie": Doc{"mode": "persistent"}, "sessions": Doc{"oidc_logout_prompt_enabled": false},
		"oidc_logout": Doc{"rp_logout_end_session_endpoint_discovery": true},
		"allow_organization_name_in_authentication_api": false, "customize_mfa_in_postlogin_action": false,
		"pushed_authorization_requests_supported": true,
		"universal_login":                         Doc{"colors": Doc{}}, "phone_consolidated_experience": false,
	})
	if f := child(d, "flags"); f != nil {
		setDefault(f, Doc{
			"allow_changing_enable_sso": false, "disable_impersonation": true, "enable_sso": true, "universal_login": true,
			"revoke_refresh_token_grant": false, "disable_clickjack_protection_headers": false, "enable_dynamic_client_registration": false,
			"mfa_show_factor_list_on_enrollment": false, "new_universal_login_experience_enabled": true,
		})
	}
	if e := child(d, "error_page"); len(e) == 0 {
		delete(d, "error_page")
	}
}

func (a *API) settings(c *call) (Answer, error) {
	d, _ := c.get(KindTenant, TenantID)
	return answer(http.StatusOK, c.selectFields(d))
}

func (a *API) changeSettings(c *call) (Answer, error) {
	old, _ := c.get(KindTenant, TenantID)
	d := patch(KindTenant, old, c.body)
	for hours, minutes := range map[string]string{
		"session_lifetime": "session_lifetime_in_minutes", "idle_session_lifetime": "idle_session_lifetime_in_minutes",
		"ephemeral_session_lifetime": "ephemeral_session_lifetime_in_minutes", "idle_ephemeral_session_lifetime": "idle_ephemeral_session_lifetime_in_minutes",
	} {
		n, sent := c.body[minutes].(float64)
		delete(d, minutes)
		if sent {
			d[hours] = n / 60
		}
	}
	if audience := text(c.body, "default_audience"); audience != "" {
		if _, found := c.byIdentifier(audience); !found {
			return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "default_audience %s is not an API of the tenant", clip(audience))
		}
	}
	if name := text(c.body, "default_directory"); name != "" {
		if _, found := c.connectionNamed(name); !found {
			return Answer{}, refuse(http.StatusBadRequest, "invalid_body", "The connection %s does not exist", clip(name))
		}
	}
	if err := c.put(KindTenant, TenantID, d); err != nil {
		return Answer{}, err
	}
	return a.settings(c)
}

// Objects that are stored only, one of each kind.

// singleton is an object that every tenant has, with its defaults.
func (a *API) singleton(kind string, defaults func() Doc) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		d, found := c.get(kind, kind)
		if !found {
			d = defaults()
		}
		if c.Method == http.MethodPatch {
			d = patch(kind, d, c.body)
			if err := c.put(kind, kind, d); err != nil {
				return Answer{}, err
			}
		}
		return answer(http.StatusOK, d)
	}
}

func defaultPrompts() Doc {
	return Doc{"universal_login_experience": "new", "identifier_first": false, "webauthn_platform_first_factor": false}
}

const (
	kindFactor   = "guardian_factor"
	kindBranding = "branding"
	kindPrompts  = "prompts"
)

var factorNames = []string{"sms", "push-notification", "otp", "email", "duo", "webauthn-roaming", "webauthn-platform", "recovery-code"}

func (a *API) listFactors(c *call) (Answer, error) {
	all := []Doc{}
	for _, name := range factorNames {
		d, found := c.get(kindFactor, name)
		all = append(all, Doc{"name": name, "enabled": found && d["enabled"] == true, "trial_expired": false})
	}
	return c.list(docs("factors", all).as(bare))
}

func (a *API) setFactor(c *call) (Answer, error) {
	if !slices.Contains(factorNames, c.params[0]) {
		return Answer{}, errNotFound
	}
	d := Doc{"enabled": c.body["enabled"] == true}
	if err := c.put(kindFactor, c.params[0], d); err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, d)
}

const kindRule = "rule"

// rules are stored. Their scripts do not run.
func (a *API) rules() *family {
	return &family{
		kind: kindRule, key: "rules", missing: refuse(http.StatusNotFound, "inexistent_rule", "The rule does not exist."),
		newID: func(c *call) string { return "rul_" + c.random(alphanumerics, 16) },
		complete: func(c *call, d Doc) error {
			setDefault(d, Doc{"enabled": true, "order": len(c.State.IDs(kindRule)) + 1, "stage": "login_success"})
			return nil
		},
	}
}

func (a *API) emptyList(key string, f form) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) { return c.list(docs(key, nil).as(f)) }
}
