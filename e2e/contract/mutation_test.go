package contract_test

import (
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
	"testing"
)

// refusers are the functions of pkg/mock that make a refusal.
var refusers = []string{"refuse", "missing", "badCode", "badRefresh", "unauthorized", "notAllowed"}

// mutant is one refusal of the mock that was taken out: its condition is false.
type mutant struct {
	name   string // file:line and the condition
	file   string
	source []byte
}

// TestEveryRefusalIsHeld takes the refusals of pkg/mock out, one at a time,
// and expects a test to fail by name: a documented case, or one of the mock's
// own tests. MUTANTS=all tries all of them (make mutants); otherwise it is a slice.
func TestEveryRefusalIsHeld(t *testing.T) {
	list := mutants(t)
	if len(list) < 80 {
		t.Fatalf("only %d refusals were found in pkg/mock", len(list))
	}
	step := 12
	if os.Getenv("MUTANTS") == "all" {
		step = 1
	}
	for i := 0; i < len(list); i += step {
		m := list[i]
		t.Run(m.name, func(t *testing.T) {
			killer, err := m.kill(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("held by %s", killer)
		})
	}
}

// mutants finds every if and case whose body returns a refusal.
func mutants(t *testing.T) []mutant {
	t.Helper()
	files, err := filepath.Glob("../../pkg/mock/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		add := func(from, to ast.Node) {
			a, b := fset.Position(from.Pos()).Offset, fset.Position(to.End()).Offset
			cond := string(src[a:b])
			mutated := string(src[:a]) + "false && (" + cond + ")" + string(src[b:])
			out = append(out, mutant{
				name: fmt.Sprintf("%s:%d %s", filepath.Base(file), fset.Position(from.Pos()).Line, cond),
				file: file, source: []byte(mutated),
			})
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IfStmt:
				if refuses(n.Body.List) {
					add(n.Cond, n.Cond)
				}
			case *ast.SwitchStmt:
				if n.Tag != nil {
					return true
				}
				for _, s := range n.Body.List {
					if c := s.(*ast.CaseClause); len(c.List) == 1 && refuses(c.Body) {
						add(c.List[0], c.List[0])
					}
				}
			}
			return true
		})
	}
	return out
}

// refuses reports whether the statements return the result of a refuser.
func refuses(list []ast.Stmt) bool {
	for _, s := range list {
		r, ok := s.(*ast.ReturnStmt)
		if !ok {
			continue
		}
		found := false
		ast.Inspect(r, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if id, ok := c.Fun.(*ast.Ident); ok && slices.Contains(refusers, id.Name) {
					found = true
				}
			}
			return true
		})
		if found {
			return true
		}
	}
	return false
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// kill runs the tests with the mutant in place of the file and returns the
// name of the test that failed.
func (m mutant) kill(t *testing.T) (string, error) {
	t.Helper()
	dir := t.TempDir()
	mutated := filepath.Join(dir, filepath.Base(m.file))
	abs, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{abs: mutated}})
	if err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{mutated: m.source, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", err
		}
	}
	for _, run := range [][]string{{"-run", "^TestContract$", "."}, {"-run", "^Test", "../../pkg/mock"}} {
		cmd := exec.Command("go", append([]string{"test", "-failfast", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json")}, run...)...)
		out, err := cmd.CombinedOutput()
		names := failed.FindAllStringSubmatch(string(out), -1)
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.As(err, &exit) && len(names) > 0:
			return names[len(names)-1][1], nil
		default:
			return "", fmt.Errorf("%w\n%s", err, out)
		}
	}
	return "", errors.New("no test fails without this refusal")
}
