// Package tokend is a client of a running tokend, for Go programs, the command
// line and the credential helpers. It speaks the service's HTTP API
// (docs/api.md) over a unix socket or loopback.
//
//	c, err := tokend.Dial("") // finds the service as the command line does
//	t, err := c.Token(ctx, tokend.TokenRequest{Client: "demo", MinValidity: 10 * time.Minute})
//
// [Client.Source] is an [oauth2.TokenSource] that keeps the token in memory, and
// [Transport] an [http.RoundTripper] that sends it to the API's origins.
package tokend
