// Package management answers Auth0's Management API v2 over the state of a tenant: its
// routes, validation, defaults, list forms and errors, as recorded and documented.
//
// [API.Do] is a function from a request and a [State] to an answer. The state holds the
// tenant's objects as JSON documents; the tenant makes its own objects from them, so
// that a change is seen by the next login. The package knows nothing of HTTP servers,
// tokens or locks: the caller authenticates, locks and writes.
package management
