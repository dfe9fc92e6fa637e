package tenantfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ignore notes something that the mock ignores.
func (l *loader) ignore(what, where string) { l.ignored[what] = append(l.ignored[what], where) }

// meaning says what ignoring a section means.
var meaning = map[string]string{
	"actions":           "the mock does not run Actions; declare their effects under x-actions",
	"triggers":          "the mock does not run Actions; declare their effects under x-actions",
	"actionModules":     "the mock does not run Actions; declare their effects under x-actions",
	"rules":             "the mock does not run rules; declare their effects under x-actions",
	"rulesConfigs":      "the mock does not run rules; declare their effects under x-actions",
	"hooks":             "the mock does not run hooks; declare their effects under x-actions",
	"connections":       "social and enterprise connections do not exist; give users a password instead",
	"emailProvider":     "the mock sends no mail",
	"emailTemplates":    "the mock sends no mail",
	"emails":            "the mock sends no mail",
	"branding":          "the mock's pages keep their own look",
	"themes":            "the mock's pages keep their own look",
	"pages":             "the mock's pages keep their own look",
	"prompts":           "the mock's pages keep their own look",
	"customDomains":     "the mock has one issuer; set MOCKAUTH0_ISSUER",
	"attackProtection":  "the mock only blocks a user after ten wrong passwords",
	"logStreams":        "the mock streams no logs; see /_mock/requests",
	"rateLimitPolicies": "the mock enforces no rate limits; see /_mock/faults",
}

// describeIgnored returns one line for each ignored thing.
func (l *loader) describeIgnored() []string {
	fields := map[string][]string{} // section → members
	out := l.typos
	for _, what := range slices.Sorted(maps.Keys(l.ignored)) {
		section, field, isField := strings.Cut(what, ".")
		switch {
		case isField:
			fields[section] = append(fields[section], field)
		case strings.HasPrefix(what, "##"):
			out = append(out, fmt.Sprintf("%s (%s): no value, so it stays as it is; set AUTH0_KEYWORD_REPLACE_MAPPINGS",
				what, l.ignored[what][0]))
		default:
			out = append(out, fmt.Sprintf("%s (%s): %s", what, l.ignored[what][0], meaningOf(what)))
		}
	}
	for _, section := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fmt.Sprintf("%s: %s: no effect in the mock", section, strings.Join(fields[section], ", ")))
	}
	return out
}

func meaningOf(section string) string {
	if strings.HasPrefix(section, "guardian") {
		return "the mock requires a second factor only if an x-action does"
	}
	if m := meaning[section]; m != "" {
		return m
	}
	return "no effect in the mock"
}
