package tenant

import "encoding/json"

// Management is what an export has in addition to the sections of auth0-deploy-cli:
// x-management in a tenant file. Together they are the whole state that the Management
// API shows.
type Management struct {
	Documents []Document `json:"documents,omitempty"`
	Omitted   []Omitted  `json:"omitted,omitempty"`
}

// Document is an object that the mock only stores, as the Management API keeps it.
type Document struct {
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
}

// Omitted lists members that an object lacks although a new one has them: an update
// removed them, or the create left them out.
type Omitted struct {
	Kind    string   `json:"kind"`
	ID      string   `json:"id"`
	Members []string `json:"members"` // as in "jwt_configuration.lifetime_in_seconds"
}
