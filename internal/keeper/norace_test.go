//go:build !race

package keeper

const race = false
