package main

import (
	"os"
	"path/filepath"
)

// paths are the default places, by the XDG base directory specification; ""
// where the environment tells no home.
type paths struct{ config, store, keyset, apiKey, socket string }

func defaultPaths() paths {
	config := xdg("XDG_CONFIG_HOME", ".config")
	state := xdg("XDG_STATE_HOME", filepath.Join(".local", "state"))
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(runtime) {
		runtime = state // no session manager, as in a container
	}
	return paths{
		config: under(config, "tokend.yaml"),
		store:  under(state, "tokend.db"),
		keyset: under(state, "keyset.json"),
		apiKey: under(state, "api.key"),
		socket: under(runtime, "tokend.sock"),
	}
}

// xdg returns a base directory; a relative one is to be ignored, says the
// specification.
func xdg(variable, fallback string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, fallback)
}

func under(base, file string) string {
	if base == "" {
		return ""
	}
	return filepath.Join(base, "tokend", file)
}
