package management

import (
	"net/http"
	"slices"
)

// DefaultConnection sets the members that every connection has.
func DefaultConnection(d Doc) {
	strategy := text(d, "strategy")
	setDefault(d, Doc{
		"is_domain_connection": false, "realms": []any{d["name"]},
		"connected_accounts": Doc{"active": false}, "options": Doc{},
	})
	if strategy != "oauth1" {
		setDefault(d, Doc{"authentication": Doc{"active": true}})
	}
	if slices.Contains(enterprise, strategy) {
		setDefault(d, Doc{"show_as_button": false})
	}
	if slices.Contains([]string{"waad", "okta", "oidc"}, strategy) {
		setDefault(d, Doc{"display_name": d["name"]})
	}
	o := child(d, "options")
	if o == nil {
		return
	}
	switch strategy {
	case "auth0":
		setDefault(o, Doc{
			"mfa": Doc{"active": true, "return_enroll_settings": true}, "brute_force_protection": true, "strategy_version": 2,
		})
		if o["password_options"] == nil {
			setDefault(o, Doc{"passwordPolicy": "good"})
		}
		keepMethods(o)
	case "oidc", "okta":
		kind, mode := "front_channel", "bind_all"
		if strategy == "okta" {
			kind, mode = "back_channel", "basic_profile"
		}
		setDefault(o, Doc{
			"schema_version": "oidc-V4", "type": kind, "attribute_map": Doc{"mapping_mode": mode}, "connection_settings": Doc{"pkce": "auto"},
		})
		if domain := text(o, "domain"); domain != "" {
			for name, path := range map[string]string{"token_endpoint": "token", "userinfo_endpoint": "userinfo", "authorization_endpoint": "authorize", "jwks_uri": "keys"} {
				if o[name] == nil {
					o[name] = "https://" + domain + "/oauth2/v1/" + path
				}
			}
			setDefault(o, Doc{"issuer": "https://" + domain})
		}
	}
}

// keepMethods sets the options that a database never loses.
func keepMethods(o Doc) {
	setDefault(o, Doc{
		"passkey_options": Doc{"challenge_ui": "both", "local_enrollment_enabled": true, "progressive_enrollment_enabled": true},
		"authentication_methods": Doc{
			"password": Doc{"enabled": true, "api_behavior": "required", "signup_behavior": "allow"}, "passkey": Doc{"enabled": false},
			"email_otp": Doc{"enabled": false}, "phone_otp": Doc{"enabled": false},
		},
	})
}

var (
	enterprise = []string{"ad", "adfs", "waad", "google-apps", "okta", "oidc", "samlp", "pingfederate"}
	strategies = append([]string{
		"auth0", "email", "sms", "ad", "adfs", "amazon", "apple", "dropbox", "bitbucket", "auth0-adldap", "auth0-oidc", "baidu", "bitly", "box",
		"custom", "daccount", "dwolla", "evernote-sandbox", "evernote", "exact", "facebook", "fitbit", "github", "google-apps", "google-oauth2",
		"instagram", "ip", "line", "linkedin", "oauth1", "oauth2", "office365", "oidc", "okta", "paypal", "paypal-sandbox", "pingfederate",
		"planningcenter", "salesforce-community", "salesforce-sandbox", "salesforce", "samlp", "sharepoint", "shopify", "shop", "soundcloud",
		"thirtysevensignals", "twitter", "untappd", "vkontakte", "waad", "weibo", "windowslive", "wordpress", "yahoo", "yandex",
	}, enterprise...)
)

// checkAttributes checks options of a database that contradict one another.
func checkAttributes(d Doc) error {
	o := child(d, "options")
	attributes := child(o, "attributes")
	bad := func(text string) error { return refuse(http.StatusBadRequest, "invalid_body", "%s", text) }
	if attributes == nil {
		return nil
	}
	active := func(name string) bool {
		is, _ := child(child(attributes, name), "identifier")["active"].(bool)
		return is
	}
	phone := child(attributes, "phone_number")
	switch {
	case o["requires_username"] == true:
		return bad("Cannot set both options.attributes and options.requires_username")
	case o["validation"] != nil:
		return bad("Cannot set both options.attributes and options.validation")
	case !active("email") && !active("phone_number") && !active("username"):
		return bad("attributes must contain one active identifier")
	case phone["profile_required"] == true && text(child(phone, "signup"), "status") == "inactive":
		return bad("attribute phone_number must also be required on signup")
	}
	return nil
}
