package tokend

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// DashboardLink opens the dashboard in a browser of the service's machine, once.
type DashboardLink struct {
	URL       Secret    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	ExpiresIn int64     `json:"expires_in"` // seconds
}

// Dashboard returns a link to the dashboard, whose session has the rights of this
// caller.
func (c *Client) Dashboard(ctx context.Context) (*DashboardLink, error) {
	var l DashboardLink
	body, err := c.call(ctx, http.MethodPost, "/v1/dashboard", struct{}{})
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, &l) != nil || l.URL == "" {
		return nil, c.unreadable("a link to the dashboard")
	}
	return &l, nil
}
