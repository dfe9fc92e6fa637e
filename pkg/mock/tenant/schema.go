package tenant

import "encoding/json"

// File describes a tenant in the vocabulary of Auth0's Management API, as
// auth0-deploy-cli exports it, plus users. The JSON names are Auth0's.
type File struct {
	Tenant          Settings         `json:"tenant"`
	Clients         []Client         `json:"clients"`
	ResourceServers []ResourceServer `json:"resourceServers"`
	ClientGrants    []ClientGrant    `json:"clientGrants"`
	Roles           []Role           `json:"roles"`
	Organizations   []Organization   `json:"organizations"`
	Databases       []Database       `json:"databases"`
	Connections     []Connection     `json:"connections"` // passwordless ones
	Users           []User           `json:"users"`
	Actions         []Action         `json:"x-actions"`

	Management *Management `json:"-"` // x-management of an export

	// Stored are objects as the file has them, by their place as in "clients[1]" or
	// "tenant": with members of the Management API that no login depends on.
	Stored map[string]json.RawMessage `json:"-"`
	// OtherConnections are connections of strategies that the mock only stores.
	OtherConnections []json.RawMessage `json:"-"`

	Ignored []string `json:"-"` // what of the source has no effect; the console shows these lines
}

// Settings are the tenant's own settings.
type Settings struct {
	FriendlyName      string    `json:"friendly_name,omitempty"`
	DefaultAudience   string    `json:"default_audience,omitempty"`
	DefaultDirectory  string    `json:"default_directory,omitempty"`
	AllowedLogoutURLs []string  `json:"allowed_logout_urls,omitempty"`
	ErrorPage         ErrorPage `json:"error_page"`
	SupportEmail      string    `json:"support_email,omitempty"`
	SupportURL        string    `json:"support_url,omitempty"`
	SessionLifetime   float64   `json:"session_lifetime,omitempty"`      // hours; 0: 168
	IdleSession       float64   `json:"idle_session_lifetime,omitempty"` // hours; 0: 72
	Flags             Flags     `json:"flags"`

	PARSupported      *bool  `json:"pushed_authorization_requests_supported,omitempty"` // false: /oauth/par does not exist
	OrganizationNames bool   `json:"allow_organization_name_in_authentication_api,omitempty"`
	ResourceProfile   string `json:"resource_parameter_profile,omitempty"` // compatibility (default): resource is as good as audience; audience: it selects no API
	ResponseIssuer    bool   `json:"authorization_response_iss_parameter_supported,omitempty"`
}

// ErrorPage is the address of a custom error page.
type ErrorPage struct {
	URL string `json:"url,omitempty"`
}

// Flags are tenant switches.
type Flags struct {
	// RevokeDeletesGrant makes the revocation of one refresh token delete the
	// grant, and with it every refresh token of the user, client and audience.
	RevokeDeletesGrant bool `json:"revoke_refresh_token_grant,omitempty"`
	// TellUserExists makes /dbconnections/signup say that a user exists.
	TellUserExists bool `json:"enable_public_signup_user_exists_error,omitempty"`
	// AuthenticatePasswordlessStart makes /passwordless/start require the client's secret.
	AuthenticatePasswordlessStart bool `json:"enforce_client_authentication_on_passwordless_start,omitempty"`
}

// Client is an application.
type Client struct {
	Name                    string         `json:"name"`
	ClientID                string         `json:"client_id,omitempty"`     // "": derived from the name; exports leave it out
	ClientSecret            string         `json:"client_secret,omitempty"` // "": derived from the client_id if the client needs a secret
	AppType                 string         `json:"app_type,omitempty"`      // regular_web, spa, native, non_interactive
	IsFirstParty            *bool          `json:"is_first_party,omitempty"`
	TokenEndpointAuthMethod string         `json:"token_endpoint_auth_method,omitempty"`
	Callbacks               []string       `json:"callbacks,omitempty"`
	AllowedOrigins          []string       `json:"allowed_origins,omitempty"`
	WebOrigins              []string       `json:"web_origins,omitempty"`
	AllowedLogoutURLs       []string       `json:"allowed_logout_urls,omitempty"`
	GrantTypes              []string       `json:"grant_types,omitempty"`
	RefreshToken            *RefreshPolicy `json:"refresh_token,omitempty"`
	JWT                     JWTSettings    `json:"jwt_configuration"`
	OIDCConformant          *bool          `json:"oidc_conformant,omitempty"`
	OrganizationUsage       string         `json:"organization_usage,omitempty"`            // deny, allow, require
	OrganizationRequire     string         `json:"organization_require_behavior,omitempty"` // no_prompt (default), pre_login_prompt, post_login_prompt
	RequirePAR              bool           `json:"require_pushed_authorization_requests,omitempty"`
	RedirectionPolicy       string         `json:"redirection_policy,omitempty"` // allow_always, open_redirect_protection
	Authentication          *ClientAuth    `json:"client_authentication_methods,omitempty"`
	TokenExchange           *TokenExchange `json:"token_exchange,omitempty"`
	RequireProof            bool           `json:"require_proof_of_possession,omitempty"` // DPoP
	OIDCLogout              *OIDCLogout    `json:"oidc_logout,omitempty"`
	InitiateLoginURI        string         `json:"initiate_login_uri,omitempty"` // where the link of an invitation leads

	DefaultOrganization *DefaultOrganization `json:"default_organization,omitempty"`

	Login string `json:"x-login,omitempty"` // auto, form: the mock's login mode for this client; "": the tenant's
}

// DefaultOrganization is the organization of a client that requests a token without
// one where its client grant requires one.
type DefaultOrganization struct {
	ID    string   `json:"organization_id"`
	Flows []string `json:"flows"` // client_credentials
}

// ClientAuth holds the keys of private_key_jwt.
type ClientAuth struct {
	PrivateKeyJWT struct {
		Credentials []Credential `json:"credentials"`
	} `json:"private_key_jwt"`
}

// Credential is one public key of a client, PEM-encoded.
type Credential struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	PEM  string `json:"pem,omitempty"`
	Alg  string `json:"alg,omitempty"` // RS256, RS384, PS256
	KID  string `json:"kid,omitempty"`
}

// TokenExchange says which token exchanges a client may use.
type TokenExchange struct {
	AllowAnyProfileOfType []string `json:"allow_any_profile_of_type,omitempty"`
}

// RefreshPolicy is a client's refresh_token setting. Lifetimes are seconds.
type RefreshPolicy struct {
	RotationType              string          `json:"rotation_type"`   // rotating, non-rotating
	ExpirationType            string          `json:"expiration_type"` // expiring, non-expiring
	Leeway                    int             `json:"leeway,omitempty"`
	TokenLifetime             int             `json:"token_lifetime,omitempty"`
	InfiniteTokenLifetime     bool            `json:"infinite_token_lifetime,omitempty"`
	IdleTokenLifetime         int             `json:"idle_token_lifetime,omitempty"`
	InfiniteIdleTokenLifetime bool            `json:"infinite_idle_token_lifetime,omitempty"`
	Policies                  []RefreshTarget `json:"policies,omitempty"`
}

// RefreshTarget allows a refresh token to be used for another audience
// (multi-resource refresh tokens).
type RefreshTarget struct {
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
}

// JWTSettings are a client's ID token settings.
type JWTSettings struct {
	LifetimeInSeconds int    `json:"lifetime_in_seconds,omitempty"` // 0: 36000
	Alg               string `json:"alg,omitempty"`                 // RS256 (default), HS256, PS256
}

// ResourceServer is an API.
type ResourceServer struct {
	ID                  string         `json:"id,omitempty"` // "": derived from the identifier
	Name                string         `json:"name"`
	Identifier          string         `json:"identifier"` // the audience
	Scopes              []Scope        `json:"scopes,omitempty"`
	SigningAlg          string         `json:"signing_alg,omitempty"` // RS256 (default), HS256, PS256
	SigningSecret       string         `json:"signing_secret,omitempty"`
	AllowOfflineAccess  bool           `json:"allow_offline_access,omitempty"`
	TokenLifetime       int            `json:"token_lifetime,omitempty"`         // seconds; 0: 86400
	TokenLifetimeForWeb int            `json:"token_lifetime_for_web,omitempty"` // seconds, implicit flow; 0: 7200
	EnforcePolicies     bool           `json:"enforce_policies,omitempty"`       // RBAC
	TokenDialect        string         `json:"token_dialect,omitempty"`          // access_token, access_token_authz, rfc9068_profile, rfc9068_profile_authz
	SkipConsent         bool           `json:"skip_consent_for_verifiable_first_party_clients,omitempty"`
	Authorization       *Authorization `json:"subject_type_authorization,omitempty"`

	ProofOfPossession *ProofOfPossession `json:"proof_of_possession,omitempty"`
}

// Authorization is an API's application access policy.
type Authorization struct {
	User struct {
		Policy string `json:"policy,omitempty"` // allow_all, require_client_grant, deny_all
	} `json:"user"`
	Client struct {
		Policy string `json:"policy,omitempty"` // require_client_grant, deny_all
	} `json:"client"`
}

// Scope is a permission of an API.
type Scope struct {
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// ClientGrant allows a client to call an API on its own behalf.
type ClientGrant struct {
	ID                string   `json:"id,omitempty"` // "": derived from client and audience
	ClientID          string   `json:"client_id"`    // or the client's name, as in exports
	Audience          string   `json:"audience"`
	Scope             []string `json:"scope"`
	SubjectType       string   `json:"subject_type,omitempty"`       // client (default), user
	OrganizationUsage string   `json:"organization_usage,omitempty"` // deny (default), allow, require
	AllowAnyOrg       bool     `json:"allow_any_organization,omitempty"`
	AllScopes         bool     `json:"allow_all_scopes,omitempty"`
}

// Role is a set of permissions.
type Role struct {
	ID          string       `json:"id,omitempty"` // "": derived from the name
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Permissions []Permission `json:"permissions,omitempty"`
}

// Permission is a scope of one API.
type Permission struct {
	Name     string `json:"permission_name"`
	Resource string `json:"resource_server_identifier"`
}

// Organization is a group of users of a business customer.
type Organization struct {
	ID          string   `json:"id,omitempty"` // "": derived from the name
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name,omitempty"`
	Members     []string `json:"members,omitempty"` // e-mail addresses or user ids

	ClientGrants []OrganizationGrant      `json:"client_grants,omitempty"`
	Connections  []OrganizationConnection `json:"connections,omitzero"`   // absent: those of the client
	MemberRoles  map[string][]string      `json:"member_roles,omitempty"` // by user_id: roles inside the organization
}

// OrganizationGrant allows a client to use its grant for an API in an organization.
type OrganizationGrant struct {
	ClientID string `json:"client_id"` // or the client's name, as in exports
	Audience string `json:"audience"`
}

// OrganizationConnection is a connection that the members of an organization use.
type OrganizationConnection struct {
	Name       string `json:"name,omitempty"`
	AutoMember bool   `json:"assign_membership_on_login,omitempty"`
}

// Database is a connection with users of its own.
type Database struct {
	ID             string   `json:"id,omitempty"` // "": derived from the name
	Name           string   `json:"name"`
	Strategy       string   `json:"strategy,omitempty"`
	EnabledClients []string `json:"enabled_clients,omitzero"` // names or ids; absent: all, as in a file that a person wrote; empty: none, as in an export
	DisableSignup  bool     `json:"disable_signup,omitempty"`

	Options DatabaseOptions `json:"options,omitzero"`
}

// User is a user in the Management API's schema, plus password and roles.
type User struct {
	UserID                string                 `json:"user_id,omitempty"` // "auth0|…"; "": derived from the e-mail address
	Email                 string                 `json:"email"`
	EmailVerified         bool                   `json:"email_verified"`
	Username              string                 `json:"username,omitempty"`
	Name                  string                 `json:"name,omitempty"`
	Nickname              string                 `json:"nickname,omitempty"`
	GivenName             string                 `json:"given_name,omitempty"`
	FamilyName            string                 `json:"family_name,omitempty"`
	Picture               string                 `json:"picture,omitempty"`
	PhoneNumber           string                 `json:"phone_number,omitempty"`
	PhoneVerified         bool                   `json:"phone_verified,omitempty"`
	Blocked               bool                   `json:"blocked,omitempty"`
	CreatedAt             string                 `json:"created_at,omitempty"` // RFC 3339
	UpdatedAt             string                 `json:"updated_at,omitempty"` // RFC 3339
	AppMetadata           map[string]any         `json:"app_metadata,omitempty"`
	UserMetadata          map[string]any         `json:"user_metadata,omitempty"`
	Connection            string                 `json:"connection,omitempty"`             // "": the default directory
	AuthenticationMethods []AuthenticationMethod `json:"authentication_methods,omitempty"` // second factors
	Password              string                 `json:"password,omitempty"`
	Roles                 []string               `json:"roles,omitempty"`
	Permissions           []Permission           `json:"permissions,omitempty"` // in addition to those of the roles
}
