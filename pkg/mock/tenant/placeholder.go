package tenant

import (
	"errors"
	"slices"
	"strings"
)

const organizationName = "{organization_name}"

// Pattern is a URL or origin of a client's list, which may have a placeholder in its
// first host label
// (https://auth0.com/docs/get-started/applications/wildcards-for-subdomains).
type Pattern struct {
	whole          string // of a URL without a placeholder
	before, after  string // what surrounds the first host label
	prefix, suffix string // what surrounds the star in it
	organization   bool   // the label is the name of an organization
	star           bool
}

// ParsePattern returns an error for a URL that breaks a rule of the placeholders. Auth0
// stores such a URL, and it never matches.
func ParsePattern(raw string) (Pattern, error) {
	stars, names := strings.Count(raw, "*"), strings.Count(raw, organizationName)
	rest := strings.NewReplacer("*", "", organizationName, "").Replace(raw)
	scheme, hostAndPath, _ := strings.Cut(raw, "://")
	end := strings.IndexAny(hostAndPath, "/?#")
	if end < 0 {
		end = len(hostAndPath)
	}
	label, domain, _ := strings.Cut(hostAndPath[:end], ".")
	switch {
	case strings.ContainsAny(rest, "{}"):
		return Pattern{}, errors.New("the mock has no such placeholder")
	case stars+names == 0:
		return Pattern{whole: raw}, nil
	case stars+names > 1:
		return Pattern{}, errors.New("a URL may have one placeholder")
	case scheme != "http" && scheme != "https":
		return Pattern{}, errors.New("a placeholder is for http and https")
	case !strings.Contains(label, "*") && !strings.Contains(label, organizationName):
		return Pattern{}, errors.New("a placeholder must be in the first label of the host")
	case strings.ContainsAny(label, "@:"), strings.Contains(domain, "@"):
		return Pattern{}, errors.New("a placeholder must be in the first label of the host")
	case !twoLabels(domain):
		return Pattern{}, errors.New("a placeholder needs two labels after it")
	case names == 1 && label != organizationName:
		return Pattern{}, errors.New(organizationName + " must be the whole label")
	}
	p := Pattern{before: scheme + "://", after: hostAndPath[len(label):], organization: names == 1, star: stars == 1}
	p.prefix, p.suffix, _ = strings.Cut(label, "*")
	return p, nil
}

// twoLabels reports whether a domain, with or without a port, has at least two labels.
func twoLabels(domain string) bool {
	domain, _, _ = strings.Cut(domain, ":")
	labels := strings.Split(domain, ".")
	return len(labels) > 1 && !slices.Contains(labels, "")
}

// Whole reports whether the pattern has no placeholder.
func (p Pattern) Whole() bool { return p.whole != "" }

// HasOrganization reports whether the placeholder is {organization_name}.
func (p Pattern) HasOrganization() bool { return p.organization }

// For returns the one URL of the pattern that can equal raw, or "". With the placeholder
// {organization_name} the host must begin with the name.
func (p Pattern) For(raw, organization string) string {
	if p.Whole() {
		return p.whole
	}
	_, hostAndPath, _ := strings.Cut(raw, "://")
	label, _, _ := strings.Cut(hostAndPath, ".")
	if p.organization {
		if organization == "" || label != organization {
			return ""
		}
		return p.before + label + p.after
	}
	middle, hasPrefix := strings.CutPrefix(label, p.prefix)
	middle, hasSuffix := strings.CutSuffix(middle, p.suffix)
	if !p.star || !hasPrefix || !hasSuffix || middle == "" || strings.ContainsFunc(label, notInLabel) {
		return ""
	}
	return p.before + label + p.after
}

// notInLabel reports whether a label of a host cannot have the character.
func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
