package tenantfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ignore notes something that the mock does not emulate.
func (l *loader) ignore(what, where string) { l.ignored[what] = append(l.ignored[what], where) }

// meaning says what it means that a section is not emulated.
var meaning = map[string]string{
	"actions":           "Actions do not run; declare their effect under x-actions",
	"triggers":          "Actions do not run; declare their effect under x-actions",
	"actionModules":     "Actions do not run; declare their effect under x-actions",
	"rules":             "rules do not run; declare their effect under x-actions",
	"rulesConfigs":      "rules do not run; declare their effect under x-actions",
	"hooks":             "hooks do not run; declare their effect under x-actions",
	"connections":       "social and enterprise connections sign nobody in; users: have passwords",
	"emailProvider":     "no mail is sent",
	"emailTemplates":    "no mail is sent",
	"emails":            "no mail is sent",
	"branding":          "pages look like mockauth0's own",
	"themes":            "pages look like mockauth0's own",
	"pages":             "pages look like mockauth0's own",
	"prompts":           "pages look like mockauth0's own",
	"customDomains":     "the issuer is MOCKAUTH0_ISSUER's",
	"attackProtection":  "only the block after ten wrong passwords is emulated",
	"logStreams":        "nothing is streamed; see /_mock/requests",
	"rateLimitPolicies": "no limit is enforced; see /_mock/faults",
}

// describeIgnored makes one line of each thing that was ignored.
func (l *loader) describeIgnored() []string {
	fields := map[string][]string{} // section → members
	out := l.typos
	for _, what := range slices.Sorted(maps.Keys(l.ignored)) {
		section, field, isField := strings.Cut(what, ".")
		switch {
		case isField:
			fields[section] = append(fields[section], field)
		case strings.HasPrefix(what, "##"):
			out = append(out, fmt.Sprintf("%s has no value and stays as it is (%s); give it by AUTH0_KEYWORD_REPLACE_MAPPINGS",
				what, l.ignored[what][0]))
		default:
			out = append(out, fmt.Sprintf("%s (%s): %s", what, l.ignored[what][0], meaningOf(what)))
		}
	}
	for _, section := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fmt.Sprintf("%s: %s: nothing here depends on them", section, strings.Join(fields[section], ", ")))
	}
	return out
}

func meaningOf(section string) string {
	if strings.HasPrefix(section, "guardian") {
		return "no second factor is asked for, unless an x-action does"
	}
	if m := meaning[section]; m != "" {
		return m
	}
	return "nothing here depends on it"
}
