package tenant

// areas lists the fields of the Management API, as auth0-deploy-cli 8.44 and node-auth0
// 7.1 know them, and what the mock does with each. docs/mock.md has the same lists.
var areas = []area{{
	section: "tenant",
	emulated: `
		friendly_name default_audience default_directory allowed_logout_urls error_page.url session_lifetime
		idle_session_lifetime flags.revoke_refresh_token_grant pushed_authorization_requests_supported resource_parameter_profile
		authorization_response_iss_parameter_supported allow_organization_name_in_authentication_api
		flags.enable_public_signup_user_exists_error flags.enforce_client_authentication_on_passwordless_start`,
	stored: `
		support_email support_url picture_url enabled_locales error_page.html error_page.show_log_link change_password
		guardian_mfa_page sandbox_version legacy_sandbox_version sandbox_versions_available country_codes
		enable_ai_guide phone_consolidated_experience include_session_metadata_in_tenant_logs
		customize_mfa_in_postlogin_action flags.change_pwd_flow_v1 flags.enable_apis_section
		flags.disable_impersonation flags.enable_client_connections flags.enable_pipeline2
		flags.allow_legacy_delegation_grant_types flags.allow_legacy_ro_grant_types flags.enable_idtoken_api2
		flags.allow_changing_enable_sso flags.no_disclose_enterprise_connections
		flags.enable_adfs_waad_email_verification flags.dashboard_log_streams_next flags.dashboard_insights_view
		flags.disable_fields_map_fix flags.mfa_show_factor_list_on_enrollment
		flags.improved_signup_bot_detection_in_classic flags.genai_trial flags.local_resource_discovery
		flags.disable_management_api_sms_obfuscation flags.trust_azure_adfs_email_verified_connection_property
		flags.custom_domains_provisioning flags.disable_clickjack_protection_headers flags.use_scope_descriptions_for_consent`,
	absent: []difference{
		{"sessions.anonymous", "", "issues tokens for anonymous sessions"},
		{"device_flow", "", "makes user codes of this form"},
		{"session_lifetime_in_minutes", "", "ends sessions after these minutes; use session_lifetime"},
		{"idle_session_lifetime_in_minutes", "", "ends idle sessions after these minutes; use idle_session_lifetime"},
		{"ephemeral_session_lifetime", "", "ends sessions that are not persistent after these hours"},
		{"ephemeral_session_lifetime_in_minutes", "", "ends sessions that are not persistent after these minutes"},
		{"idle_ephemeral_session_lifetime", "", "ends idle sessions that are not persistent after these hours"},
		{"idle_ephemeral_session_lifetime_in_minutes", "", "ends idle sessions that are not persistent after these minutes"},
		{"session_cookie", `{"mode":"persistent"}`, "forgets a session when the browser is closed"},
		{"sessions.oidc_logout_prompt_enabled", "true", "logs out without the question whether to log out"},
		{"oidc_logout.rp_logout_end_session_endpoint_discovery", "true", "leaves end_session_endpoint out of discovery"},
		{"default_redirection_uri", "", "redirects there when a login cannot go on, instead of showing an error page"},
		{"default_token_quota", "", "refuses client_credentials when the quota is used up; see /_mock/faults"},
		{"acr_values_supported", "", "lists these values in discovery"},
		{"security_headers", "", "sends these headers with its pages"},
		{"skip_non_verifiable_callback_uri_confirmation_prompt", "true", "asks the user before a redirect to a loopback or custom-scheme callback"},
		{"client_id_metadata_document_supported", "", "accepts a client_id that is the URL of the client's metadata"},
		{"dynamic_client_registration_security_mode", "", "decides what dynamically registered clients may do"},
		{"flags.enable_dynamic_client_registration", "", "registers clients at /oidc/register"},
		{"flags.enable_legacy_profile", "", "puts the whole profile into ID tokens and /userinfo"},
		{"flags.enable_sso", "true", "asks a logged-in user to confirm"},
		{"flags.remove_alg_from_jwks", "", "leaves alg out of the JWKS"},
		{"flags.allow_legacy_tokeninfo_endpoint", "", "serves /tokeninfo"},
	},
	refused: []difference{
		{"mtls", `{"enable_endpoint_aliases":false}`, "authenticates clients and binds tokens by TLS certificates"},
	},
}, {
	section: "clients",
	emulated: `
		name client_id client_secret app_type is_first_party token_endpoint_auth_method callbacks allowed_origins
		web_origins allowed_logout_urls grant_types refresh_token.rotation_type refresh_token.expiration_type
		refresh_token.leeway refresh_token.token_lifetime refresh_token.infinite_token_lifetime
		refresh_token.idle_token_lifetime refresh_token.infinite_idle_token_lifetime refresh_token.policies.audience
		refresh_token.policies.scope jwt_configuration.lifetime_in_seconds jwt_configuration.alg organization_usage
		require_pushed_authorization_requests redirection_policy
		client_authentication_methods.private_key_jwt.credentials.pem
		client_authentication_methods.private_key_jwt.credentials.alg
		client_authentication_methods.private_key_jwt.credentials.kid token_exchange.allow_any_profile_of_type
		organization_require_behavior default_organization.organization_id default_organization.flows initiate_login_uri
		require_proof_of_possession oidc_logout.backchannel_logout_urls x-login`,
	stored: `
		description logo_uri client_metadata mobile custom_login_page custom_login_page_on custom_login_page_preview
		form_template client_aliases allowed_clients encryption_key sso signing_keys tenant global owner owners
		callback_url_template is_token_endpoint_ip_header_trusted cross_origin_loc jwt_configuration.scopes
		express_configuration b2b_integration_configuration my_organization_configuration signed_request_object.credentials
		client_authentication_methods.private_key_jwt.credentials.name
		client_authentication_methods.private_key_jwt.credentials.id
		client_authentication_methods.private_key_jwt.credentials.credential_type
		client_authentication_methods.private_key_jwt.credentials.parse_expiry_from_cert
		client_authentication_methods.private_key_jwt.credentials.expires_at
		oidc_logout.backchannel_logout_session_metadata external_client_id external_metadata_type external_metadata_created_by jwks_uri`,
	absent: []difference{
		{"oidc_conformant", "true", "answers as before OpenID Connect"},
		{"sso_disabled", "", "asks for a login although there is a session"},
		{"cross_origin_authentication", "", "logs in at /co/authenticate"},
		{"cross_origin_auth", "", "logs in at /co/authenticate"},
		{"addons", "", "speaks SAML, WS-Federation or the addon's protocol"},
		{"native_social_login", "", "exchanges tokens of the platform's own login"},
		{"fedcm_login", "", "logs in by the browser's FedCM"},
		{"session_transfer", "", "exchanges session transfer tokens"},
		{"anonymous_sessions", "", "issues tokens for anonymous sessions"},
		{"oidc_logout.backchannel_logout_initiators", "", "calls backchannel_logout_urls at these events, and not only at a logout"},
		{"oidc_backchannel_logout", "", "takes this for oidc_logout, which the mock knows"},
		{"token_quota", "", "refuses client_credentials when the quota is used up; see /_mock/faults"},
		{"par_request_expiry", "30", "keeps pushed requests for these seconds"},
		{"token_vault_privileged_access", "", "issues tokens of other providers"},
		{"skip_non_verifiable_callback_uri_confirmation_prompt", "true", "asks the user before a redirect to a loopback or custom-scheme callback"},
		{"resource_server_identifier", "", "lets the client exchange the tokens of this API"},
		{"identity_assertion_authorization_grant", "", "grants access by another application's identity assertion"},
		{"third_party_security_mode", "", "decides what third-party clients may do"},
		{"async_approval_notification_channels", "", "asks users to approve by these channels"},
		{"jwt_configuration.secret_encoded", "", "decodes the client secret by base64 before it signs with HS256"},
	},
	refused: []difference{
		{"organization_discovery_methods", `["organization_name"]`, "asks for an e-mail address to find the organization"},
		{"compliance_level", `"none"`, "refuses requests that do not follow the FAPI profile"},
		{"signed_request_object.required", "", "refuses authorization requests that are not signed (JAR)"},
		{"client_authentication_methods.tls_client_auth", "", "authenticates the client by a TLS certificate"},
		{"client_authentication_methods.self_signed_tls_client_auth", "", "authenticates the client by a TLS certificate"},
	},
}, {
	section: "resourceServers",
	emulated: `
		name identifier scopes.value scopes.description signing_alg signing_secret allow_offline_access token_lifetime token_lifetime_for_web
		enforce_policies token_dialect skip_consent_for_verifiable_first_party_clients
		subject_type_authorization.user.policy subject_type_authorization.client.policy proof_of_possession.mechanism
		proof_of_possession.required proof_of_possession.required_for`,
	stored: `id is_system client subject_type_authorization.anonymous_user`,
	absent: []difference{
		{"allow_online_access", "", "issues refresh tokens that end with the session"},
		{"allow_online_access_with_ephemeral_sessions", "", "issues refresh tokens that end with the session"},
		{"token_lifetime_for_anonymous_access_tokens", "", "issues tokens for anonymous sessions"},
		{"token_encryption", "", "encrypts access tokens"},
		{"consent_policy", "", "asks for consent to each transaction"},
		{"authorization_details", "", "accepts authorization_details (RAR)"},
	},
	refused: []difference{
		{"authorization_policy", "", "refuses tokens that the policy does not allow"},
	},
}, {
	section:  "clientGrants",
	emulated: `client_id audience scope subject_type organization_usage allow_any_organization allow_all_scopes`,
	stored:   `id is_system`,
	absent: []difference{
		{"default_for", "", "grants this to all third-party clients"},
		{"authorization_details_types", "", "accepts authorization_details (RAR)"},
	},
}, {
	section:  "roles",
	emulated: `name permissions.permission_name permissions.resource_server_identifier`,
	stored:   `id description permissions.resource_server_name permissions.description`,
	absent: []difference{
		{"type", `"tenant"`, "grants the role inside one organization only"},
		{"owner_id", "", "grants the role inside one organization only"},
	},
}, {
	section: "organizations",
	emulated: `
		id name members member_roles client_grants.client_id client_grants.audience connections.name
		connections.assign_membership_on_login`,
	stored: `
		display_name branding metadata is_app_entitlement_active client_grants.id client_grants.scope
		client_grants.organization_usage client_grants.allow_any_organization client_grants.subject_type
		connections.connection_id connections.show_as_button connections.is_signup_enabled connections.strategy`,
	absent: []difference{
		{"enabled_connections", "", "logs in by the organization's connections"},
		{"discovery_domains", "", "finds the organization by e-mail address"},
		{"token_quota", "", "refuses client_credentials when the quota is used up; see /_mock/faults"},
	},
	refused: []difference{
		{"third_party_client_access", `"allow"`, "refuses third-party clients"},
	},
}, {
	section: "databases",
	emulated: `
		name disable_signup enabled_clients options.disable_signup options.requires_username options.passwordPolicy
		options.password_complexity_options.min_length`,
	stored: `
		id strategy display_name show_as_button metadata connected_accounts 		options.configuration options.enable_script_context options.non_persistent_attrs
		options.disable_signup_confirmation options.strategy_version options.realm_fallback`,
	absent: []difference{
		{"authentication", `{"active":true}`, "does not log in by this database"},
		{"options.brute_force_protection", "true", "does not block a user after wrong passwords"},
		{"is_domain_connection", "", "is open to third-party clients only with this"},
		{"realms", "", "is the realm of these domains"},
		{"cross_app_access_requesting_app", "", "exchanges tokens between applications"},
		{"cross_app_access_resource_app", "", "exchanges tokens between applications"},
		{"options.password_history", `{"enable":false}`, "refuses earlier passwords"},
		{"options.password_no_personal_info", `{"enable":false}`, "refuses passwords with personal data"},
		{"options.password_dictionary", `{"enable":false}`, "refuses common passwords"},
		{"options.password_options", "", "refuses weak passwords at signup"},
		{"options.validation", "", "checks usernames at signup"},
		{"options.attributes", "", "decides which identifiers users have"},
		{"options.precedence", "", "decides which identifier comes first"},
		{"options.authentication_methods", "", "logs in by passkey or one-time code"},
		{"options.passkey_options", "", "logs in by passkey"},
		{"options.mfa", "", "requires a second factor"},
		{"options.enabledDatabaseCustomization", "", "asks the tenant's own scripts for users"},
		{"options.customScripts", "", "asks the tenant's own scripts for users"},
		{"options.import_mode", "", "imports users at their login"},
		{"options.disable_self_service_change_password", "", "refuses to send mails for a new password"},
	},
}, {
	section:  "connections",
	emulated: `name strategy enabled_clients`,
	stored: `
		id display_name show_as_button metadata realms is_domain_connection options.name options.email options.from
		options.subject options.body options.syntax options.template options.provider options.gateway_url
		options.messaging_service_sid options.twilio_sid options.twilio_token options.forward_req_info
		options.non_persistent_attrs options.set_user_root_attributes options.brute_force_protection`,
	absent: []difference{
		{"options.totp", "", "sends codes of this length and life"},
		{"options.disable_signup", "", "lets only known users log in"},
		{"options.auth_params", "", "adds these parameters to the link in a mail"},
		{"options.authParams", "", "adds these parameters to the link in a mail"},
	},
}, {
	section: "users",
	emulated: `
		user_id email email_verified username name nickname given_name family_name picture phone_number phone_verified
		blocked created_at updated_at app_metadata user_metadata connection password roles permissions.permission_name
		permissions.resource_server_identifier authentication_methods.id
		authentication_methods.type authentication_methods.totp_secret authentication_methods.phone_number
		authentication_methods.email authentication_methods.recovery_code`,
	stored: `
		authentication_methods.name authentication_methods.confirmed authentication_methods.created_at
		authentication_methods.last_auth_at authentication_methods.enrolled_at
		authentication_methods.preferred_authentication_method authentication_methods.authentication_methods
		identities permissions.resource_server_name permissions.description permissions.sources
		multifactor_last_modified last_login last_ip last_password_reset logins_count verify_email id provider`,
	absent: []difference{
		{"custom_password_hash", "", "logs in with the password of this hash"},
		{"multifactor", "", "asks for the enrolled second factor; the mock takes authentication_methods"},
		{"authentication_methods.key_id", "", "logs in by this passkey"},
		{"authentication_methods.public_key", "", "logs in by this passkey"},
	},
}, {
	section:  "x-actions",
	emulated: `trigger client_id deny error interaction mfa set_access_token set_id_token`,
}}
