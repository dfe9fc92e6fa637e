package tokend

import (
	"context"
	"encoding/json"
	"net/http"
)

// ServiceInfo is what the service uses. The audit log is shown to callers that may use and
// manage every client.
type ServiceInfo struct {
	Version   string `json:"version"`
	AuditFile string `json:"audit_file"` // on the service's machine; "": none
	AuditKeep int    `json:"audit_keep"` // older files
}

// Info returns what the service uses.
func (c *Client) Info(ctx context.Context) (*ServiceInfo, error) {
	body, err := c.call(ctx, http.MethodGet, "/v1/service", nil)
	if err != nil {
		return nil, err
	}
	var i ServiceInfo
	if json.Unmarshal(body, &i) != nil || i.Version == "" {
		return nil, c.unreadable("what it uses")
	}
	return &i, nil
}
