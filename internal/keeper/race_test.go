//go:build race

package keeper

// race says that the race detector is on, which makes simulations slow.
const race = true
