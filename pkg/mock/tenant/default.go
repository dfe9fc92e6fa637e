package tenant

// Default returns a new copy of the built-in tenant: the confidential client "demo"
// (secret "demo-secret"), the public client "demo-spa" with rotating refresh tokens,
// the client "management" (secret "management-secret") for the Management API, one API, and two users with the password "password".
func Default() *File {
	callbacks := []string{
		"http://localhost:8484/callback",
		"http://127.0.0.1:8484/callback",
		"http://localhost:3000/callback",
	}
	logout := []string{"http://localhost:3000", "http://localhost:3000/", "http://localhost:8484/"}
	return &File{
		Tenant: Settings{
			FriendlyName: "mockauth0", DefaultDirectory: DefaultConnection,
			AllowedLogoutURLs: []string{"http://localhost:3000", "http://localhost:3000/"},
		},
		Clients: []Client{{
			Name: "Demo", ClientID: "demo", ClientSecret: "demo-secret", AppType: "regular_web",
			TokenEndpointAuthMethod: "client_secret_post",
			Callbacks:               callbacks, AllowedLogoutURLs: logout,
			GrantTypes: []string{
				GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials, GrantPassword, GrantPasswordRealm, GrantDeviceCode,
			},
			RefreshToken: &RefreshPolicy{RotationType: "non-rotating", ExpirationType: "non-expiring"},
		}, {
			Name: "Demo SPA", ClientID: "demo-spa", AppType: "spa", TokenEndpointAuthMethod: "none",
			Callbacks:         append(callbacks[:len(callbacks):len(callbacks)], "http://localhost:3000/"),
			WebOrigins:        []string{"http://localhost:3000", "http://localhost:8484"},
			AllowedLogoutURLs: logout,
			GrantTypes:        []string{GrantAuthorizationCode, GrantRefreshToken, GrantDeviceCode},
			RefreshToken: &RefreshPolicy{
				RotationType: "rotating", ExpirationType: "expiring",
				TokenLifetime: DefaultRefreshLifetime, IdleTokenLifetime: DefaultRefreshLifetime,
			},
		}, {
			Name: "Management", ClientID: "management", ClientSecret: "management-secret", AppType: "non_interactive",
			TokenEndpointAuthMethod: "client_secret_post", GrantTypes: []string{GrantClientCredentials},
		}},
		ResourceServers: []ResourceServer{{
			Name: "Example API", Identifier: "https://api.example.com/", AllowOfflineAccess: true,
			Scopes: []Scope{
				{Value: "read:calls", Description: "Read your calls"},
				{Value: "write:calls", Description: "Change your calls"},
			},
		}},
		ClientGrants: []ClientGrant{{
			ClientID: "demo", Audience: "https://api.example.com/", Scope: []string{"read:calls", "write:calls"},
		}, {
			ClientID: "management", Audience: ManagementAPI, AllScopes: true,
		}},
		Roles: []Role{{Name: "agent", Description: "May call the example API", Permissions: []Permission{
			{Name: "read:calls", Resource: "https://api.example.com/"},
			{Name: "write:calls", Resource: "https://api.example.com/"},
		}}},
		Databases: []Database{{Name: DefaultConnection, Strategy: "auth0"}},
		Users: []User{{
			Email: "agent@example.com", EmailVerified: true, Name: "Example Agent", Nickname: "agent",
			Password: "password", Roles: []string{"agent"},
		}, {
			Email: "guest@example.com", Name: "Example Guest", Nickname: "guest", Password: "password",
		}},
	}
}
