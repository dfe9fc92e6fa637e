// Package mutation removes behaviour from the code, one piece at a time, and
// looks for a test that fails. [Refusals] finds conditions that reject something,
// [Replace] replaces given text; [Mutant.CaughtBy] runs the tests.
package mutation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mutant is a source file with one piece of its behaviour removed.
type Mutant struct {
	Name string // base name of the file, line, and what is removed

	file   string
	source []byte
}

// Replace returns the mutant of file that has with instead of what, which must
// occur once.
func Replace(file, what, with string) (Mutant, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return Mutant{}, err
	}
	if n := strings.Count(string(src), what); n != 1 {
		return Mutant{}, fmt.Errorf("%s has %q %d times, not once", file, what, n)
	}
	line := 1 + strings.Count(string(src[:strings.Index(string(src), what)]), "\n")
	return Mutant{
		Name: fmt.Sprintf("%s:%d %s", filepath.Base(file), line, what), file: file,
		source: []byte(strings.Replace(string(src), what, with, 1)),
	}, nil
}

// RefusalsIn finds the [Refusals] of every source file in a directory.
func RefusalsIn(dir string, makers []string) ([]Mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var list []Mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		found, err := Refusals(file, makers)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// Refusals finds every condition, of an if or a case, whose statements reject
// something: they call one of makers, create a value of a type of that name, directly or
// in a return, or return a variable of that name. In the mutant the condition is false.
func Refusals(file string, makers []string) ([]Mutant, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		return nil, err
	}
	var found []Mutant
	add := func(cond ast.Expr) {
		a, b := fset.Position(cond.Pos()), fset.Position(cond.End()).Offset
		text := string(src[a.Offset:b])
		found = append(found, Mutant{
			Name: fmt.Sprintf("%s:%d %s", filepath.Base(file), a.Line, text), file: file,
			source: slices.Concat(src[:a.Offset], []byte("false && ("+text+")"), src[b:]),
		})
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if refuses(n.Body.List, makers) {
				add(n.Cond)
			}
		case *ast.SwitchStmt:
			for _, s := range n.Body.List {
				if c, ok := s.(*ast.CaseClause); ok && n.Tag == nil && len(c.List) == 1 && refuses(c.Body, makers) {
					add(c.List[0])
				}
			}
		}
		return true
	})
	return found, nil
}

// refuses reports whether one of the statements is, or returns, a refusal.
func refuses(list []ast.Stmt, makers []string) bool {
	return slices.ContainsFunc(list, func(s ast.Stmt) bool {
		switch s := s.(type) {
		case *ast.ReturnStmt:
			if slices.ContainsFunc(s.Results, func(e ast.Expr) bool { return slices.Contains(makers, nameOf(e)) }) {
				return true
			}
		case *ast.ExprStmt, *ast.AssignStmt:
		default:
			return false
		}
		found := false
		ast.Inspect(s, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.CallExpr:
				found = found || slices.Contains(makers, nameOf(n.Fun))
			case *ast.CompositeLit:
				found = found || slices.Contains(makers, nameOf(n.Type))
			}
			return !found
		})
		return found
	})
}

// nameOf returns the last part of the name of a function or type.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// Tests are the arguments of a "go test" in a directory.
type Tests struct {
	Dir  string
	Args []string // packages, -run and the like
}

var (
	failed  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	crashed = regexp.MustCompile(`(?m)^(?:panic|fatal error): .*`)
)

// ErrUnnoticed means that all tests pass with a mutant.
var ErrUnnoticed = errors.New("no test fails without it")

// ErrTimeout means that the tests did not end in time, which a busy machine can
// cause as well as the mutant.
var ErrTimeout = errors.New("the tests did not end in time")

// CaughtBy runs the tests in order, with the mutant instead of its file, and
// returns the first one that fails, or the crash of the test program. If the
// mutant does not compile, it returns an error.
func (m Mutant) CaughtBy(tests ...Tests) (string, error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	mutated, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutated}})
	if err = errors.Join(err, os.WriteFile(mutated, m.source, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	for _, t := range tests { // -count=1: go test does not know that tests build programs, and would use a cached result
		cmd := exec.Command("go", append([]string{"test", "-failfast", "-count=1", "-vet=off", "-timeout=3m"}, t.Args...)...) //nolint:gosec,noctx // -timeout ends it
		cmd.Dir = t.Dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false -overlay="+overlay) // also for the programs that tests build
		out, err := cmd.CombinedOutput()
		names, crash := failed.FindAllStringSubmatch(string(out), -1), crashed.Find(out)
		switch {
		case err == nil:
		case bytes.HasPrefix(crash, []byte("panic: test timed out")):
			return "", fmt.Errorf("%w\n%s", ErrTimeout, out)
		case len(names) > 0:
			return names[len(names)-1][1], nil
		case crash != nil: // in a goroutine outside of a test
			return string(crash), nil
		default:
			return "", fmt.Errorf("%w\n%s", err, out)
		}
	}
	return "", ErrUnnoticed
}
