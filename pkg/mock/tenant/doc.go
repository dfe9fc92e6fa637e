// Package tenant is the schema of a mock tenant's file: the objects that
// auth0-deploy-cli exports, with the field names of Auth0's Management API, and
// users. [Default] returns the built-in tenant.
//
// The package holds what one object knows about itself: its names, the defaults
// of its fields, which values are valid. How a tenant behaves is in package mock.
package tenant
