package main

import (
	"slices"

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

// limitedKeys returns the callers of the configuration, and those of tokend key add.
func (s settings) limitedKeys(of issuers) ([]daemon.Key, error) {
	var keys []daemon.Key
	for _, k := range slices.Concat(s.Keys, s.StoredKeys, s.Callers) {
		rules, err := of.rules(k.Tokens)
		if err != nil {
			return nil, err
		}
		keys = append(keys, daemon.Key{
			Name: k.Name, Secret: k.Secret, Hash: k.Hash, UIDs: k.UIDs, GIDs: k.GIDs, Certificates: k.Certificates, Tokens: rules,
			Clients: k.Clients, Audiences: k.Audiences, ReadOnly: k.ReadOnly, Expires: k.Expires, Rate: float64(k.Rate),
		})
	}
	return keys, nil
}
