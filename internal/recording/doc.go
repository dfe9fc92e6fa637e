// Package recording records what a client and an issuer say to each other as cases of
// pkg/contract, and answers a client from such a recording.
//
// A recording has no secret: what is not known to be harmless is replaced by a
// placeholder or left out with its exchange.
package recording
