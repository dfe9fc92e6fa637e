// Package harden keeps the secrets of this process from other processes of its user.
package harden
