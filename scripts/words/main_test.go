package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestChecker_FindsWords(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "words", "# a comment\nanew => again\nname:mend => fix\nlooks at => check\n(there )?is no => is not a\n")
	write(t, "allow", "allowed.go anew\nall/ *\n")
	write(t, "a.go", "package a\n\n// b makes it\n// anew. Renewal is fine, there is no doubt.\nfunc mendAll() {}\n\nvar anewCount = `first\nLooks at`\n\nvar x = \"is no\"\n")
	write(t, "allowed.go", "package a // anew\n")
	write(t, "all/b.go", "package a // anew\n")
	write(t, "testdata/c.go", "package a // anew\n")
	write(t, "README.md", "anew\n")
	write(t, "docs/page.md", "Made anew.\n\n```sh\nanew\n```\n")
	c, err := newChecker("words", "allow")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.walk("."); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range c.found {
		got = append(got, f.String())
	}
	want := []string{
		"a.go:4: anew → again", "a.go:5: mendAll → fix", "a.go:7: anewCount → again", "a.go:8: Looks at → check",
		"a.go:10: is no → is not a", "docs/page.md:1: anew → again",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNewChecker_Errors(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, filepath.Join(dir, "empty"), "")
	for name, list := range map[string]string{
		"absent":      filepath.Join(dir, "absent"),
		"no arrow":    write(t, filepath.Join(dir, "arrow"), "anew\n"),
		"bad pattern": write(t, filepath.Join(dir, "pattern"), "( => x\n"),
	} {
		if _, err := newChecker(list, empty); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := newChecker(empty, filepath.Join(dir, "absent")); err == nil {
		t.Error("absent list of accepted uses: no error")
	}
}

func TestSplit(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "anewCount": "anew count", "HTTPClient": "httpclient", "Test_signIn": "test sign in", "parseURL": "parse url",
	} {
		if got := strings.Join(split(name), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "words", "anew => again\n")
	write(t, "allow", "")
	write(t, "pkg/a.go", "package a\n\n// anew\n\n")
	c, err := newChecker("words", "allow")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.count(&b, "pkg"); err != nil || b.String() != "pkg          1 in      4 lines: 250.0 per 1,000\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
