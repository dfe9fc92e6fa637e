// Package mock is a pretend Auth0 tenant. Start with [Start] in a test and
// [Tenant.Approve] to play the browser and the person in front of it:
//
//	tenant := mock.Start(t, mock.Config{})
//	callback, err := tenant.Approve(ctx, tenant.OAuth2().AuthCodeURL("state"))
//
// It refuses what the real tenant refuses, with the same statuses, headers and
// bodies (docs/mock.md says where each is documented or was recorded). It is
// for tests: it signs with a key that everybody has, keeps everything in memory
// and forgets it at exit.
package mock
