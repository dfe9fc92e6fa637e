package tenantfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"example.com/tokend/pkg/mock/tenant"
)

// ignore notes something that the mock ignores. In an export there is nothing to note:
// the tenant that wrote it had all of it, and one that loads it answers as that one did.
func (l *loader) ignore(what, where string) {
	if !l.export {
		l.ignored[what] = append(l.ignored[what], where)
	}
}

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

// describeIgnored returns one line for each ignored thing. Members of objects without
// any effect share a line for each section.
func (l *loader) describeIgnored() []string {
	shared := map[string][]string{} // the end of a line → members
	out := l.typos
	for _, what := range slices.Sorted(maps.Keys(l.ignored)) {
		f, isMember := l.unused[what]
		switch {
		case isMember && (f.Changes || f.Misspelt != ""):
			_, text, _ := strings.Cut(what, ": ")
			out = append(out, fmt.Sprintf("%s (%s): %s", f.Field.Path, l.where(what), text))
		case isMember:
			section, name, _ := strings.Cut(f.Field.Path, ".")
			_, text, _ := strings.Cut(what, ": ")
			shared[section+"\x00"+text] = append(shared[section+"\x00"+text], name)
		case strings.HasPrefix(what, "##"):
			out = append(out, fmt.Sprintf("%s (%s): no value, so it stays as it is; set AUTH0_KEYWORD_REPLACE_MAPPINGS",
				what, l.ignored[what][0]))
		default:
			out = append(out, fmt.Sprintf("%s (%s): %s", what, l.ignored[what][0], meaningOf(what)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(shared)) {
		section, text, _ := strings.Cut(key, "\x00")
		out = append(out, fmt.Sprintf("%s: %s: %s", section, strings.Join(shared[key], ", "), text))
	}
	return out
}

// where returns the first place of an ignored thing, and how many others there are.
func (l *loader) where(what string) string {
	places := l.ignored[what]
	if len(places) == 1 {
		return places[0]
	}
	return fmt.Sprintf("%s and %d more", places[0], len(places)-1)
}

// inspect notes the members of an object that the mock does not use, and reports those
// with which a real tenant refuses what the mock allows. It returns whether it found any.
func (l *loader) inspect(path, section string, n ast.Node, object map[string]any) bool {
	found := l.inspector.Inspect(section, object)
	for _, f := range found {
		at := lineOf(n, f.Member...)
		if f.Changes && f.Field.Support == tenant.Refused && !l.Lax && !l.export {
			l.report(path, at, "%s: a real tenant %s, and the mock does not; --lax accepts this without effect",
				f.Field.Path, f.Field.Effect)
			continue
		}
		what := f.String()
		l.unused[what] = f
		l.ignore(what, fmt.Sprintf("%s:%d", path, at))
	}
	return len(found) > 0
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
