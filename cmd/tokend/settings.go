package main

import (
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
)

// settings are the configuration of the service.
type settings struct{ config.Config }

// loadSettings reads the configuration at a person's default paths.
func loadSettings() (settings, error) {
	env := config.OS()
	return loadSettingsAt(env, config.DefaultPaths(env))
}

// loadServiceSettings reads the configuration as "tokend serve" does.
func loadServiceSettings() (settings, error) {
	env := config.OS()
	return loadSettingsAt(env, config.ServicePaths(env))
}

func loadSettingsAt(env config.Environment, paths config.Paths) (settings, error) {
	c, faults := config.Load(env, paths)
	return settings{c}, faults.Err()
}

// limitedKeys returns the API keys of the configuration that open some clients only.
func (s settings) limitedKeys() []daemon.Key {
	var keys []daemon.Key
	for _, k := range s.Keys {
		keys = append(keys, daemon.Key{Name: k.Name, Secret: k.Secret, Clients: k.Clients})
	}
	return keys
}
