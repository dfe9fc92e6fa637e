package mock

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/tokend/pkg/mock/tenant"
)

// passwordPolicy is what a database requires of passwords
// (https://auth0.com/docs/authenticate/database-connections/password-strength).
type passwordPolicy struct {
	length    int
	classes   int // of the four kinds of characters
	all       bool
	identical bool // no more than two identical characters in a row
}

func policyOf(db *tenant.Database) passwordPolicy {
	p := map[string]passwordPolicy{
		"":          {length: minPassword},
		"none":      {length: 1},
		"low":       {length: 6},
		"fair":      {length: 8, classes: 3, all: true},
		"good":      {length: 8, classes: 3},
		"excellent": {length: 10, classes: 3, identical: true},
	}[db.Options.PasswordPolicy]
	if n := db.Options.Complexity.MinLength; n > 0 {
		p.length = n
	}
	return p
}

// characterClass is one kind of characters, with its name in Auth0's answer.
type characterClass struct {
	code, message string
	has           func(rune) bool
}

var characterClasses = []characterClass{
	{"lowerCase", "lower case letters (a-z)", unicode.IsLower},
	{"upperCase", "upper case letters (A-Z)", unicode.IsUpper},
	{"numbers", "numbers (i.e. 0-9)", unicode.IsDigit},
	{"specialCharacters", "special characters (e.g. !@#$%^&*)", isSpecial},
}

func isSpecial(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// rules returns the rules as Auth0's answer lists them, and whether all are met.
func (p passwordPolicy) rules(password string) (list []object, met bool) {
	long := p.longEnough(password)
	list = append(list, object{
		{"message", "At least %d characters in length"},
		{"format", []int{p.length}},
		{"code", "lengthAtLeast"},
		{"verified", long},
	})
	met = long
	if p.classes > 0 {
		rule, good := p.classRule(password)
		list, met = append(list, rule), met && good
	}
	if p.identical {
		good := !threeInARow(password)
		list, met = append(list, object{
			{"message", `No more than %d identical characters in a row (e.g., "%s" not allowed)`},
			{"format", []any{2, "aaa"}},
			{"code", "identicalChars"},
			{"verified", good},
		}), met && good
	}
	return list, met
}

func (p passwordPolicy) longEnough(password string) bool {
	return utf8.RuneCountInString(password) >= p.length
}

// classRule is the rule for kinds of characters: the first three, or any three of four.
func (p passwordPolicy) classRule(password string) (rule object, met bool) {
	classes := characterClasses
	if p.all {
		classes = classes[:p.classes]
	}
	items, found := make([]object, 0, len(classes)), 0
	for _, class := range classes {
		has := strings.ContainsFunc(password, class.has)
		if has {
			found++
		}
		items = append(items, object{{"message", class.message}, {"code", class.code}, {"verified", has}})
	}
	met = found >= p.classes
	if p.all {
		return object{{"message", "Should contain:"}, {"code", "shouldContain"}, {"items", items}, {"verified", met}}, met
	}
	return object{
		{"message", "Contain at least %d of the following %d types of characters:"},
		{"code", "containsAtLeast"},
		{"format", []int{p.classes, len(classes)}},
		{"items", items},
		{"verified", met},
	}, met
}

func threeInARow(s string) bool {
	var last rune
	n := 0
	for _, r := range s {
		if r != last {
			last, n = r, 0
		}
		if n++; n == 3 {
			return true
		}
	}
	return false
}
