// Package flow is one OAuth client at one tenant, and the one grant that it
// keeps: login by the authorization code flow, exchange, verification, and a
// refresh that never loses a rotated refresh token.
//
// Start with [New] and [Client.Get]; a *Client is an [oauth2.TokenSource] too,
// so oauth2.NewClient(ctx, client) is an HTTP client that always has a fresh
// token. [Transport] does the same for a list of APIs and survives a 401.
// Package tokend is for a client that a running tokend keeps.
package flow
