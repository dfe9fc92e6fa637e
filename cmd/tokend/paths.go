package main

import (
	"os"
	"path/filepath"
	"strings"
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

// servicePaths are the default places of "tokend serve". A unit names the
// directories that systemd made for it (systemd.exec(5), StateDirectory= and its
// kin). Other commands do not look there: their unit is somebody else's.
func servicePaths() paths {
	p := defaultPaths()
	if dir := unitDirectory("CONFIGURATION_DIRECTORY"); dir != "" {
		p.config = filepath.Join(dir, "tokend.yaml")
	}
	if dir := unitDirectory("STATE_DIRECTORY"); dir != "" {
		p.store, p.keyset, p.apiKey = filepath.Join(dir, "tokend.db"), filepath.Join(dir, "keyset.json"), filepath.Join(dir, "api.key")
	}
	if dir := unitDirectory("RUNTIME_DIRECTORY"); dir != "" {
		p.socket = filepath.Join(dir, "tokend.sock")
	}
	return p
}

// unitDirectory is the first of a unit's directories, "" when it has none.
func unitDirectory(variable string) string {
	dir, _, _ := strings.Cut(os.Getenv(variable), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return dir
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
