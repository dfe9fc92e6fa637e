package tenant

import "slices"

// Connection is a passwordless connection: users log in with a code that is sent to
// them.
type Connection struct {
	ID             string   `json:"id,omitempty"` // "": derived from the name
	Name           string   `json:"name"`
	Strategy       string   `json:"strategy"`                 // email, sms
	EnabledClients []string `json:"enabled_clients,omitzero"` // names or ids; absent: all, empty: none
}

// Passwordless reports whether the connection is one that the mock has.
func (c *Connection) Passwordless() bool { return c.Strategy == "email" || c.Strategy == "sms" }

// Complete checks a connection.
func (c *Connection) Complete() error {
	if c.ID == "" {
		c.ID = "con_" + derivedID("connection "+c.Name, 16)
	}
	switch {
	case c.Name == "":
		return fieldError("name", "a connection needs a name")
	case !c.Passwordless():
		return fieldError("strategy", "%.200q of connection %q is not one of email, sms; the mock has no other connections", c.Strategy, c.Name)
	}
	return nil
}

// Enables reports whether a client may use the connection. Without enabled_clients
// every client may.
func (c *Connection) Enables(client *Client) bool {
	return c.EnabledClients == nil || slices.Contains(c.EnabledClients, client.ClientID) ||
		client.Name != "" && slices.Contains(c.EnabledClients, client.Name)
}
