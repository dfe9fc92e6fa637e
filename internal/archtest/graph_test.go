// Package archtest checks the dependencies between the packages of this module.
// docs/architecture.md explains the rules.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "example.com/tokend/"

// pkg is the used part of the output of "go list" for a package.
type pkg struct {
	ImportPath   string
	Dir          string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	GoFiles      []string

	files []*ast.File // the sources of our own packages, without tests
}

// graph has all packages that this module is built from, by import path.
type graph map[string]*pkg

// ours returns the packages of this module, by their path in it.
func (g graph) ours() map[string]*pkg {
	own := map[string]*pkg{}
	for path, p := range g {
		if rel, ok := strings.CutPrefix(path, module); ok {
			own[rel] = p
		}
	}
	return own
}

// load runs the go command and returns the graph of this module, built with tags.
func load(t *testing.T, tags ...string) graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json", "-tags", strings.Join(tags, ","), "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		g[p.ImportPath] = p
		if strings.HasPrefix(p.ImportPath, module) {
			for _, name := range p.GoFiles {
				p.files = append(p.files, parse(t, filepath.Join(p.Dir, name), nil))
			}
		}
	}
}

func parse(t *testing.T, name string, src any) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// localName returns the name of an imported package in a file, "" if it is not
// imported.
func localName(f *ast.File, imported string) string {
	for _, spec := range f.Imports {
		if strings.Trim(spec.Path.Value, `"`) != imported {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		base := path.Base(imported)
		if strings.Trim(base, "v0123456789") == "" { // a major version is not a name
			base = path.Base(path.Dir(imported))
		}
		return base
	}
	return ""
}

// mentions reports whether source code uses a name of a package: any exported
// name, or one of those given.
func mentions(n ast.Node, local string, names ...string) bool {
	found := false
	if n == nil || local == "" {
		return false
	}
	ast.Inspect(n, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
			found = found || len(names) == 0
			for _, name := range names {
				found = found || sel.Sel.Name == name
			}
		}
		return true
	})
	return found
}

// within reports whether a path is a directory or lies in it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// violation describes a violation of a rule.
func violation(p, format string, args ...any) string {
	return p + ": " + fmt.Sprintf(format, args...)
}
