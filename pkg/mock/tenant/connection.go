package tenant

import "slices"

// Complete checks a database.
func (d *Database) Complete() error {
	if d.Name == "" {
		return fieldError("name", "a database needs a name")
	}
	return d.Options.check(d.Name)
}

// Enables reports whether a client may use the database. Without enabled_clients every
// client may.
func (d *Database) Enables(c *Client) bool {
	return d.EnabledClients == nil || slices.Contains(d.EnabledClients, c.ClientID) || c.Name != "" && slices.Contains(d.EnabledClients, c.Name)
}
