// Package flow is an OAuth client that keeps one grant: it logs in by the
// authorization code flow or another grant, verifies ID tokens, and refreshes
// without losing a rotated refresh token.
//
// Start with [New] and [Client.Get]. A *Client is an [oauth2.TokenSource], so
// oauth2.NewClient(ctx, client) is an HTTP client that always sends a valid
// token. [Transport] restricts that to a list of APIs and retries after a 401.
// Package tokend is for a client that a running tokend keeps.
package flow
