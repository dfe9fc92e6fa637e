// Package near suggests a known name for a misspelt one.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// Name returns the known name that is closest to a misspelt one, or "" if none is close
// or two are equally close. One letter in four may differ, and two at most.
func Name(name string, known []string) string {
	found, least := "", 3
	for _, k := range known {
		switch d := typos(plain(name), plain(k)); {
		case d > len(k)/4:
		case d < least:
			found, least = k, d
		case d == least:
			found = ""
		}
	}
	return found
}

// Names returns the known names that are nearest to name, at most most of them and
// the nearest first. One letter in four may differ, two at most, or the end may be
// missing.
func Names(name string, known []string, most int) []string {
	distances := map[string]int{}
	var names []string
	for _, k := range known {
		a, b := plain(name), plain(k)
		d := typos(a, b)
		if len(a) >= 3 && strings.HasPrefix(b, a) {
			d = min(d, 1)
		}
		if d <= max(1, min(2, len(b)/4)) && d < len(b) {
			distances[k] = d
			names = append(names, k)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distances[a], distances[b]) })
	return names[:min(most, len(names))]
}

// plain removes the differences of camelCase, snake_case and kebab-case.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// typos counts typing errors: as distance, but two swapped neighbours are one.
func typos(a, b string) int {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) && i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:] {
		return 1
	}
	return distance(a, b)
}

// distance counts the bytes to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a's prefix to each prefix of b
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
