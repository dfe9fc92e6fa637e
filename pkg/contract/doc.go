// Package contract has Auth0's answers as data, and a runner that compares any issuer
// with them: a mock or a real tenant.
//
// Start with [Cases], the data, and [Run], which runs it against a [Target] in a Go
// test. [Check] does the same without a test and returns a [Report].
//
// Every case has its sources and its [Confidence]: recorded, documented, reported,
// derived (from the Node libraries oauth2orize and passport-http-bearer, whose form
// the recorded answers have) or believed. Of a believed case the runner asserts only
// what Case.Assert says.
//
// Some cases are of a feature that a tenant may lack, such as Token Vault. They are not
// applicable only if the target answers exactly as a tenant without the feature.
//
// With a control API ([Target.Control]) every case runs on a tenant that was reset.
// Without one the runner assumes a real tenant: it runs portable cases and skips the
// others with a reason, revokes only what it issued, sends no wrong password, and
// waits when X-RateLimit-Remaining is 0.
package contract
