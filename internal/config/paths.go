package config

import (
	"path/filepath"
	"runtime"
	"strings"
)

// Paths are the default paths; "" where the environment names no home.
type Paths struct{ Config, Store, Keyset, APIKey, APIKeys, Socket string }

// DefaultPaths returns the default paths of commands, by the XDG base directory
// specification.
func DefaultPaths(env Environment) Paths {
	config := env.base("XDG_CONFIG_HOME", ".config")
	state := env.base("XDG_STATE_HOME", filepath.Join(".local", "state"))
	sockets := env.Get("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(sockets) {
		sockets = state // no session manager, as in a container
	}
	return Paths{
		Config:  under(config, "tokend.yaml"),
		Store:   under(state, "tokend.db"),
		Keyset:  under(state, "keyset.json"),
		APIKey:  under(state, "api.key"),
		APIKeys: under(state, "api-keys.json"),
		Socket:  under(sockets, "tokend.sock"),
	}
}

// ServicePaths returns the default paths of "tokend serve". In a unit they are the
// directories that systemd made for it (systemd.exec(5), StateDirectory= and others).
// Other commands ignore those: they may run in another unit.
func ServicePaths(env Environment) Paths {
	p := DefaultPaths(env)
	if dir := env.unitDirectory("CONFIGURATION_DIRECTORY"); dir != "" {
		p.Config = filepath.Join(dir, "tokend.yaml")
	}
	if dir := env.unitDirectory("STATE_DIRECTORY"); dir != "" {
		p.Store, p.Keyset = filepath.Join(dir, "tokend.db"), filepath.Join(dir, "keyset.json")
		p.APIKey, p.APIKeys = filepath.Join(dir, "api.key"), filepath.Join(dir, "api-keys.json")
	}
	if dir := env.unitDirectory("RUNTIME_DIRECTORY"); dir != "" {
		p.Socket = filepath.Join(dir, "tokend.sock")
	}
	return p
}

// unitDirectory returns the first of a unit's directories, "" when it has none.
func (e Environment) unitDirectory(variable string) string {
	dir, _, _ := strings.Cut(e.Get(variable), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return dir
}

// base returns a base directory; the specification ignores a relative one.
func (e Environment) base(variable, fallback string) string {
	if dir := e.Get(variable); filepath.IsAbs(dir) {
		return dir
	}
	variable = "HOME"
	if runtime.GOOS == "windows" {
		variable = "USERPROFILE"
	}
	home := e.Get(variable)
	if !filepath.IsAbs(home) {
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
