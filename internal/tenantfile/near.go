package tenantfile

import (
	"fmt"
	"strings"
)

// strange notes a name that nothing here reads. One that is nearly a known one
// is a typing error, most likely.
func (l *loader) strange(prefix, name, where string, known []string) {
	if meant := near(name, known); meant != "" {
		l.typos = append(l.typos, fmt.Sprintf("%s%s (%s): did you mean %s?", prefix, name, where, meant))
		return
	}
	l.ignore(prefix+name, where)
}

// near returns the known name that another one nearly is: one letter in four may
// differ, two at most. "" when there is none, or two are equally near.
func near(name string, known []string) string {
	found, least := "", 3
	for _, k := range known {
		switch d := distance(plain(name), plain(k)); {
		case d > len(k)/4:
		case d < least:
			found, least = k, d
		case d == least:
			found = ""
		}
	}
	return found
}

// plain leaves out what differs between camelCase, snake_case and kebab-case.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance counts the bytes to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // of the bytes of a so far, to each length of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
