//go:build !linux

package harden

// Process does nothing: this system has no such protection.
func Process() error { return nil }
