package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"example.com/tokend/pkg/flow"
)

// TokenRule is which tokens of an OpenID Connect issuer are a caller's.
type TokenRule struct {
	Issuer, Audience string
	Subject          string // * is any text without a colon, ** any text
	CAFile           string // "": the system's authorities
}

// RootCAs reads the authorities that the issuer's certificate is verified with, nil for
// those of the system.
func (r TokenRule) RootCAs() (*x509.CertPool, error) {
	if r.CAFile == "" {
		return nil, nil //nolint:nilnil // as in tls.Config
	}
	return authorities("ca_file", r.CAFile)
}

// tokenRules checks which tokens of issuers are those of a caller.
func (l *loader) tokenRules(setting string, list []oidcSchema, s Config) []TokenRule {
	var rules []TokenRule
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", setting, i)
		var e *flow.Error
		if _, err := flow.NewVerifier(flow.ProviderConfig{Issuer: c.Issuer}); errors.As(err, &e) {
			l.add(at+".issuer", e.Hint, "%s.issuer: %s", at, e.Description)
		}
		if c.Audience == "" {
			l.add(at+".audience", "name this service, and request tokens for that name", "%s.audience is missing: a token for any other service would be accepted", at)
		}
		if why := wrongSubject(c.Subject); why != "" {
			l.add(at+".subject", "such as repo:acme/app:ref:refs/heads/main, with * for text without a colon and ** for any text", "%s.subject %s", at, why)
		}
		for _, other := range l.rules {
			if other.Issuer == c.Issuer && other.CAFile != c.CAFile {
				l.add(at+".ca_file", "use one", "%s.ca_file: the issuer %s has another one", at, c.Issuer)
				break
			}
		}
		rule := TokenRule(c)
		rules, l.rules = append(rules, rule), append(l.rules, rule)
	}
	if len(rules) > 0 && s.Listen == Off && s.TLS.Listen == "" {
		l.add(setting, "set listen or tls_listen", "%s has no effect on a unix socket", setting)
	}
	return rules
}

// wrongSubject returns what is wrong with a subject, or "".
func wrongSubject(subject string) string {
	switch {
	case subject == "":
		return "is missing"
	case subject[0] == '*':
		return "begins with *, and would admit everyone who can get a token of the issuer"
	case strings.Contains(subject, "***"):
		return "has more than two * in a row"
	}
	return ""
}

// identitiesOf returns rules as text, to find the same one in two callers.
func identitiesOf(rules []TokenRule) []string {
	var list []string
	for _, r := range rules {
		list = append(list, fmt.Sprintf("%s of %s for %s", r.Subject, r.Issuer, r.Audience))
	}
	return list
}
