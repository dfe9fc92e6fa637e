package tenant

import "slices"

// Complete checks a database.
func (d *Database) Complete() error {
	if d.Name == "" {
		return fieldError("name", "a database needs a name")
	}
	if d.ID == "" {
		d.ID = "con_" + derivedID("connection "+d.Name, 16)
	}
	return d.Options.check(d.Name)
}

// Enables reports whether a client may use the database. Without enabled_clients every
// client may.
func (d *Database) Enables(c *Client) bool {
	return d.EnabledClients == nil || slices.Contains(d.EnabledClients, c.ClientID) || c.Name != "" && slices.Contains(d.EnabledClients, c.Name)
}

// AutoMembership reports whether a login by a connection makes its user a member.
func (o *Organization) AutoMembership(connection string) bool {
	return slices.ContainsFunc(o.Connections, func(c OrganizationConnection) bool { return c.Name == connection && c.AutoMember })
}

// Grants reports whether a client may use its grant for an API in the organization.
func (o *Organization) Grants(client, audience string) bool {
	return slices.Contains(o.ClientGrants, OrganizationGrant{ClientID: client, Audience: audience})
}
