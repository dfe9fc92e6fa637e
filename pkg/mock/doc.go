// Package mock is an Auth0 tenant for tests. Start with [Start], and call
// [Tenant.Approve] to act as the browser and the user:
//
//	tenant := mock.Start(t, mock.Config{})
//	callback, err := tenant.Approve(ctx, tenant.OAuth2().AuthCodeURL("state"))
//
// It rejects what a real tenant rejects, with the same statuses, headers and
// bodies; docs/mock.md lists the sources. Never use it for anything but tests: its
// signing key is public. It keeps everything in memory and loses it at exit.
package mock
