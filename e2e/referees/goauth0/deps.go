//go:build dependencies

// Package goauth0 pins go-auth0 and what its own tests need, in a module apart, so that
// the test of e2e/referees can build them.
package goauth0

import (
	_ "github.com/auth0/go-auth0/management"
	_ "github.com/joho/godotenv"
	_ "github.com/stretchr/testify/require"
	_ "gopkg.in/dnaeon/go-vcr.v3/recorder"
)
