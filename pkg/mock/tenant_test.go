package mock_test

import "example.com/tokend/pkg/mock/tenant"

// richTenant has a client for every rule.
func richTenant() *tenant.File {
	no := false
	e := tenant.Default()
	web := func(id string, change func(*tenant.Client)) {
		c := tenant.Client{
			Name: id, ClientID: id, ClientSecret: id + "-secret", AppType: "regular_web", Callbacks: []string{callback},
			GrantTypes: []string{"authorization_code", "refresh_token"},
		}
		change(&c)
		e.Clients = append(e.Clients, c)
	}
	web("rotating", func(c *tenant.Client) {
		c.RefreshToken = &tenant.RefreshPolicy{
			RotationType: "rotating", ExpirationType: "expiring", Leeway: 30, TokenLifetime: 1000000, IdleTokenLifetime: 100000,
			Policies: []tenant.RefreshTarget{{Audience: "https://second.example/", Scope: []string{"ping"}}},
		}
	})
	web("abrupt", func(c *tenant.Client) {
		c.RefreshToken = &tenant.RefreshPolicy{RotationType: "rotating", ExpirationType: "non-expiring"}
	})
	web("third", func(c *tenant.Client) {
		c.IsFirstParty, c.Callbacks = &no, []string{callback, "https://third.example.com/cb"}
	})
	web("lenient-third", func(c *tenant.Client) { c.IsFirstParty, c.RedirectionPolicy = &no, "allow_always" })
	web("hybrid", func(c *tenant.Client) { c.GrantTypes = append(c.GrantTypes, "implicit") })
	web("wild", func(c *tenant.Client) {
		c.Callbacks = []string{"https://*.example.com/cb", "https://app.example.org/cb?tenant=1", "com.example.app://cb", "https://app.example.org/#cb", "/relative"}
	})
	web("pushing", func(c *tenant.Client) { c.RequirePAR = true })
	web("b2b", func(c *tenant.Client) { c.OrganizationUsage = "require" })
	web("exchanger", func(c *tenant.Client) {
		c.GrantTypes = append(c.GrantTypes, "urn:ietf:params:oauth:grant-type:token-exchange")
	})
	web("plus+ %&", func(c *tenant.Client) { c.ClientSecret = "a+b c%20d:e" })
	web("machine", func(c *tenant.Client) { c.GrantTypes, c.Callbacks = []string{"client_credentials"}, nil })
	addAPIs(e)
	e.Roles = append(e.Roles, tenant.Role{Name: "reader", Permissions: []tenant.Permission{
		{Name: "read:x", Resource: "https://rbac.example/"}, {Name: "read:x", Resource: "https://rfc9068.example/"},
	}})
	e.Users[0].Roles = append(e.Users[0].Roles, "reader")
	e.Users = append(e.Users, tenant.User{Email: "blocked@example.com", Password: "password", Blocked: true})
	e.Organizations = []tenant.Organization{{ID: "org_acme", Name: "acme", Members: []string{agent}}}
	e.ClientGrants = append(e.ClientGrants,
		tenant.ClientGrant{ClientID: "machine", Audience: api}, // no scopes
		tenant.ClientGrant{ClientID: "machine", Audience: "https://closed.example/"},
	)
	return e
}

// addAPIs adds an API for every rule.
func addAPIs(e *tenant.File) {
	e.ResourceServers = append(e.ResourceServers,
		tenant.ResourceServer{
			Name: "Second", Identifier: "https://second.example/", AllowOfflineAccess: true, TokenLifetime: 600, SkipConsent: true,
			Scopes: []tenant.Scope{{Value: "ping", Description: "Ping"}},
		},
		tenant.ResourceServer{
			Name: "RBAC", Identifier: "https://rbac.example/", EnforcePolicies: true, TokenDialect: "access_token_authz",
			Scopes: []tenant.Scope{{Value: "read:x"}, {Value: "write:x"}}, TokenLifetimeForWeb: 60,
		},
		tenant.ResourceServer{
			Name: "RFC 9068", Identifier: "https://rfc9068.example/", TokenDialect: "rfc9068_profile_authz", SigningAlg: "PS256",
			EnforcePolicies: true, Scopes: []tenant.Scope{{Value: "read:x"}},
		},
		tenant.ResourceServer{Name: "HS", Identifier: "https://hs.example/", SigningAlg: "HS256", SigningSecret: "a secret of the API"},
		tenant.ResourceServer{Name: "Guarded", Identifier: "https://guarded.example/", Authorization: policy("require_client_grant", "")},
		tenant.ResourceServer{Name: "Closed", Identifier: "https://closed.example/", Authorization: policy("deny_all", "deny_all")},
	)
}

func policy(user, client string) *tenant.Authorization {
	a := &tenant.Authorization{}
	a.User.Policy, a.Client.Policy = user, client
	return a
}
