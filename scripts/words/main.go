// Command words reports words of scripts/words.txt in the comments, strings and
// identifiers of Go files and in the pages of docs/, as file:line: word → use.
// Its arguments are files or directories; without any it checks the repository.
// With -count it prints the number of words per 1,000 lines of Go instead.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

func main() {
	list := flag.String("list", "scripts/words.txt", "the words")
	allow := flag.String("allow", "scripts/words.allow", "the accepted uses")
	count := flag.Bool("count", false, "print the number of words per 1,000 lines of cmd, internal and pkg")
	flag.Parse()
	found, err := run(os.Stdout, *list, *allow, *count, flag.Args())
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}
	if found && !*count {
		os.Exit(1)
	}
}

// run writes the findings in paths, and reports whether there is any.
func run(w io.Writer, list, allow string, count bool, paths []string) (found bool, err error) {
	c, err := newChecker(list, allow)
	if err != nil {
		return false, err
	}
	if count {
		return false, c.count(w, "cmd", "internal", "pkg")
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, path := range paths {
		if err := c.walk(path); err != nil {
			return false, err
		}
	}
	for _, f := range c.found {
		_, _ = fmt.Fprintln(w, f)
	}
	return len(c.found) > 0, nil
}

// rule is a line of the word list.
type rule struct {
	pattern *regexp.Regexp
	name    string // a word of identifiers; "": none
	use     string
}

// finding is a word that is not allowed.
type finding struct {
	file      string
	line      int
	word, use string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s → %s", f.file, f.line, f.word, f.use)
}

// checker checks files and collects its findings.
type checker struct {
	rules   []rule
	allowed []use
	found   []finding
	lines   int // of Go files
}

// use is an accepted use of a word.
type use struct{ file, word string }

var plainWord = regexp.MustCompile(`^[a-z]+$`)

func newChecker(list, allow string) (*checker, error) {
	c := &checker{}
	lines, err := readLines(list)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		pattern, instead, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not PATTERN => USE", list, line)
		}
		r := rule{use: instead}
		if name, only := strings.CutPrefix(pattern, "name:"); only {
			r.name = name
		} else {
			if plainWord.MatchString(pattern) {
				r.name = pattern
			}
			if r.pattern, err = regexp.Compile(`(?i)\b(?:` + pattern + `)\b`); err != nil {
				return nil, fmt.Errorf("%s: %w", list, err)
			}
		}
		c.rules = append(c.rules, r)
	}
	lines, err = readLines(allow)
	for _, line := range lines {
		file, word, _ := strings.Cut(line, " ")
		c.allowed = append(c.allowed, use{file, strings.ToLower(strings.TrimSpace(word))})
	}
	return c, err
}

// readLines returns the lines of a file without comments and empty lines.
func readLines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// walk checks a file, or all Go files and pages in a directory.
func (c *checker) walk(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != "." && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		switch {
		case filepath.Ext(path) == ".go":
			return c.goFile(path)
		case filepath.Ext(path) == ".md" && filepath.Base(filepath.Dir(path)) == "docs":
			return c.page(path)
		}
		return nil
	})
}

// goFile checks the comments, strings and identifiers of a Go file.
func (c *checker) goFile(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c.lines += bytes.Count(src, []byte("\n"))
	files := token.NewFileSet()
	file := files.AddFile(path, -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch line := file.Line(pos); tok {
		case token.EOF:
			return nil
		case token.COMMENT, token.STRING:
			c.text(path, line, text)
		case token.IDENT:
			c.identifier(path, line, text)
		default:
		}
	}
}

// page checks the text of a page, without its code blocks.
func (c *checker) page(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n, code := 0, false
	for line := range strings.Lines(string(b)) {
		n++
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if !code {
			c.text(path, n, line)
		}
	}
	return nil
}

// text checks text that begins at a line.
func (c *checker) text(path string, line int, text string) {
	for _, r := range c.rules {
		if r.pattern == nil {
			continue
		}
		for _, m := range r.pattern.FindAllStringSubmatchIndex(text, -1) {
			if !accepted(m) {
				c.add(path, line+strings.Count(text[:m[0]], "\n"), text[m[0]:m[1]], r.use)
			}
		}
	}
}

// accepted reports whether a group of a match is not empty.
func accepted(match []int) bool {
	for i := 2; i < len(match); i += 2 {
		if match[i] >= 0 && match[i] < match[i+1] {
			return true
		}
	}
	return false
}

// identifier checks the words of an identifier.
func (c *checker) identifier(path string, line int, name string) {
	words := split(name)
	for _, r := range c.rules {
		if r.name != "" && slices.Contains(words, r.name) {
			c.add(path, line, name, r.use)
		}
	}
}

// split returns the words of an identifier in mixed caps, in lower case.
func split(name string) []string {
	var words []string
	start := 0
	runes := []rune(name)
	for i, r := range runes {
		if i > start && (r == '_' || unicode.IsUpper(r) && !unicode.IsUpper(runes[i-1])) {
			words = append(words, strings.ToLower(strings.Trim(string(runes[start:i]), "_")))
			start = i
		}
	}
	return append(words, strings.ToLower(strings.Trim(string(runes[start:]), "_")))
}

func (c *checker) add(path string, line int, word, instead string) {
	path = filepath.ToSlash(filepath.Clean(path))
	word = strings.Join(strings.Fields(word), " ")
	for _, a := range c.allowed {
		if (a.file == path || strings.HasSuffix(a.file, "/") && strings.HasPrefix(path, a.file)) && (a.word == "*" || a.word == strings.ToLower(word)) {
			return
		}
	}
	c.found = append(c.found, finding{path, line, word, instead})
}

// count prints the number of words in each directory per 1,000 lines of Go.
func (c *checker) count(w io.Writer, dirs ...string) error {
	for _, dir := range dirs {
		c.found, c.lines = nil, 0
		if err := c.walk(dir); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "%-8s %5d in %6d lines: %.1f per 1,000\n", dir, len(c.found), c.lines, float64(len(c.found))*1000/float64(max(1, c.lines)))
	}
	return nil
}
