//go:build !linux

package referees_test

const composeMock = "COMPOSE_MOCKAUTH0"

// runContainer reports that this process is not a container: only Linux has network namespaces.
func runContainer() (code int, is bool) { return 0, false }
