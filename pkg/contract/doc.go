// Package contract is what Auth0 answers, as data, and a runner for any
// issuer: the mock of this project, or a real tenant.
//
// Start with [Cases], the data, and [Run], which plays it against a [Target]
// inside a Go test; [Check] does the same without a test and returns a
// [Report].
//
// Every case says where it is known from and how well: recorded, documented,
// reported, derived (it follows from the dialect of oauth2orize and
// passport-http-bearer, which the recorded answers share) or believed. Of what
// is only believed nothing is asserted but what the case's note says.
//
// With a control surface ([Target.Control]) every case runs, each on a tenant
// that was reset. Without one the tenant is taken for a real one: only portable
// cases run, the others are skipped with their reason; nothing is revoked that
// the suite did not make itself, no wrong password is tried, and the suite
// waits where X-RateLimit-Remaining says so.
package contract
