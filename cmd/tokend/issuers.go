package main

import (
	"example.com/tokend/internal/config"
	"example.com/tokend/internal/daemon"
	"example.com/tokend/pkg/flow"
)

// issuers verify tokens of callers. They outlive a reload, and so do the keys that they
// have fetched.
type issuers map[issuerKey]*flow.Verifier

type issuerKey struct {
	issuer, authorities string
	version             fileVersion // of the file of the authorities
}

// rules returns the rules with their verifiers. It does not connect.
func (of issuers) rules(list []config.TokenRule) ([]daemon.TokenRule, error) {
	var rules []daemon.TokenRule
	for _, r := range list {
		key := issuerKey{r.Issuer, r.CAFile, versionOf(r.CAFile)}
		if of[key] == nil {
			c := flow.ProviderConfig{Issuer: r.Issuer}
			var err error
			if c.RootCAs, err = r.RootCAs(); err != nil {
				return nil, exitWith(exitConfig, err)
			}
			if of[key], err = flow.NewVerifier(c); err != nil {
				return nil, exitWith(exitConfig, err)
			}
		}
		rules = append(rules, daemon.TokenRule{Audience: r.Audience, Subject: r.Subject, Issuer: of[key]})
	}
	return rules, nil
}

func (of issuers) close() {
	for _, v := range of {
		v.Close()
	}
}
