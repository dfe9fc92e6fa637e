package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	gin        = "github.com/gin-gonic/gin"
	envconfig  = "github.com/kelseyhightower/envconfig"
	pgx        = "github.com/jackc/pgx"
	maxDepth   = 3
	mathRand   = "math/rand"
	mathRandV2 = "math/rand/v2"
)

// rules are the import rules; each returns what breaks it.
var rules = []struct {
	name  string
	check func(graph) []string
}{
	{"pkg_stands_alone", publicStandsAlone},
	{"faces_know_flow_only", facesKnowFlowOnly},
	{"stores_know_flow_and_their_driver", storesKnowFlowAndDriver},
	{"frameworks_stay_where_they_are_used", frameworksStay},
	{"time_and_randomness_are_fields", timeAndRandomnessAreFields},
	{"depth", depth},
}

func TestImports(t *testing.T) {
	g := load(t)
	for _, must := range []string{
		"pkg/flow", "pkg/mock", "pkg/mock/tenant", "pkg/contract", "internal/daemon", "internal/store", "internal/store/sqlite",
		"internal/tokenfile", "cmd/tokend", "cmd/mockauth0",
		"internal/doctor",
	} {
		if g[module+must] == nil {
			t.Errorf("%s is gone: the rules that name it see nothing", must)
		}
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, v := range r.check(g) {
				t.Error(v)
			}
		})
	}
}

// publicStandsAlone: a public package, its tests included, imports nothing of
// ours. A client and a mock that share code share its misreadings. pkg/mock is
// the exception: it may import its own schema, pkg/mock/tenant.
func publicStandsAlone(g graph) []string {
	var bad []string
	for path, p := range g.ours() {
		if !within(path, "pkg") {
			continue
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			schema := path == "pkg/mock" && imp == module+"pkg/mock/tenant"
			if strings.HasPrefix(imp, module) && imp != p.ImportPath && !schema {
				bad = append(bad, violation(path, "imports %s; a public package imports nothing of this module", imp))
			}
		}
	}
	return bad
}

// facesKnowFlowOnly: what hands tokens out, by HTTP or in files, does not know
// which store is behind it, nor the other face.
func facesKnowFlowOnly(g graph) []string {
	return onlyFlow(g, func(path string) bool { return within(path, "internal/daemon") || within(path, "internal/tokenfile") })
}

// storesKnowFlowAndDriver: what lies beneath internal/store imports pkg/flow at
// most, thus never another store, and a driver is its store's alone.
func storesKnowFlowAndDriver(g graph) []string {
	bad := onlyFlow(g, func(path string) bool { return strings.HasPrefix(path, "internal/store/") })
	drivers := map[string]string{"modernc.org/sqlite": "internal/store/sqlite", pgx: "internal/store/postgres"}
	for driver, store := range drivers {
		bad = append(bad, confined(g, driver, store)...)
	}
	return bad
}

// frameworksStay: gin answers HTTP in two places and is in no exported
// signature, envconfig reads the environment in commands only, and a test that
// imports pkg/mock pays for go-jose and x/oauth2 alone.
func frameworksStay(g graph) []string {
	bad := confined(g, gin, "internal/daemon", "cmd/mockauth0")
	bad = append(bad, confined(g, envconfig, "cmd")...)
	for path, p := range g.ours() {
		for _, f := range p.files {
			for _, name := range exportedWith(f, localName(f, gin)) {
				bad = append(bad, violation(path, "%s shows gin in an exported signature", name))
			}
		}
	}
	for dep := range closure(g, module+"pkg/mock") {
		foreign := g[dep] != nil && !g[dep].Standard && !strings.HasPrefix(dep, module)
		if foreign && !within(dep, "github.com/go-jose/go-jose/v4") && !within(dep, "golang.org/x/oauth2") {
			bad = append(bad, violation("pkg/mock", "needs %s; a test that imports it would have to build that", dep))
		}
	}
	return bad
}

// timeAndRandomnessAreFields: no package variable is a clock or a source of
// randomness, and nobody draws from math/rand's global one.
func timeAndRandomnessAreFields(g graph) []string {
	var bad []string
	for path, p := range g.ours() {
		for _, f := range p.files {
			clock := localName(f, "time")
			sources := []string{localName(f, "crypto/rand"), localName(f, mathRand), localName(f, mathRandV2)}
			for _, v := range packageVariables(f) {
				if mentions(v, clock, "Now", "Since", "Until", "Time") {
					bad = append(bad, violation(path, "variable %s holds a clock; make it a field", v.Names[0].Name))
				}
				if slices.ContainsFunc(sources, func(local string) bool { return mentions(v, local) }) {
					bad = append(bad, violation(path, "variable %s holds a source of randomness; make it a field", v.Names[0].Name))
				}
			}
			for _, local := range sources[1:] {
				if mentions(f, local, "Int", "IntN", "Intn", "Int32", "Int64", "Int64N", "Int63n", "N", "Float64", "Perm", "Shuffle", "Uint32", "Uint64") {
					bad = append(bad, violation(path, "draws from the global source of math/rand; make it a field"))
				}
			}
		}
	}
	return bad
}

// depth: no chain of our own imports is longer than three.
func depth(g graph) []string {
	var bad []string
	var below func(path string) []string
	below = func(path string) []string {
		var longest []string
		for _, imp := range g[path].Imports {
			if g[imp] == nil || !strings.HasPrefix(imp, module) {
				continue
			}
			if chain := below(imp); len(chain) > len(longest) {
				longest = chain
			}
		}
		return append([]string{strings.TrimPrefix(path, module)}, longest...)
	}
	for path, p := range g.ours() {
		if chain := below(p.ImportPath); len(chain)-1 > maxDepth {
			bad = append(bad, violation(path, "import chain of %d: %s", len(chain)-1, strings.Join(chain, " → ")))
		}
	}
	return bad
}

// leaves are small packages without imports of ours that every package may use.
var leaves = []string{module + "internal/hint", module + "internal/near"}

// onlyFlow reports imports of ours other than pkg/flow and the leaves.
func onlyFlow(g graph, applies func(string) bool) []string {
	var bad []string
	for path, p := range g.ours() {
		for _, imp := range p.Imports {
			if applies(path) && strings.HasPrefix(imp, module) && imp != module+"pkg/flow" && !slices.Contains(leaves, imp) {
				bad = append(bad, violation(path, "imports %s; of this module only pkg/flow is allowed here", imp))
			}
		}
	}
	return bad
}

// confined reports imports of a dependency from outside the given folders.
func confined(g graph, dependency string, folders ...string) []string {
	var bad []string
	for path, p := range g.ours() {
		if slices.ContainsFunc(folders, func(folder string) bool { return within(path, folder) }) {
			continue
		}
		for _, imp := range p.Imports {
			if within(imp, dependency) {
				bad = append(bad, violation(path, "imports %s; that is for %s", imp, strings.Join(folders, " and ")))
			}
		}
	}
	return bad
}

// closure is everything that a package needs.
func closure(g graph, path string) map[string]bool {
	seen := map[string]bool{}
	var walk func(string)
	walk = func(path string) {
		if seen[path] || g[path] == nil {
			return
		}
		seen[path] = true
		for _, imp := range g[path].Imports {
			walk(imp)
		}
	}
	walk(path)
	return seen
}

// exportedWith names the exported declarations of a file whose signature
// mentions the package that the file calls local.
func exportedWith(f *ast.File, local string) []string {
	names := map[string]bool{}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && mentions(d.Type, local) {
				names[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, name := range exportedSpec(spec, local) {
					names[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func exportedSpec(spec ast.Spec, local string) []string {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && mentions(s, local) {
				return []string{name.Name}
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		body, ok := s.Type.(*ast.StructType)
		if !ok {
			if mentions(s.Type, local) {
				return []string{s.Name.Name}
			}
			return nil
		}
		for _, field := range body.Fields.List {
			shown := len(field.Names) == 0 || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported)
			if shown && mentions(field.Type, local) {
				return []string{s.Name.Name}
			}
		}
	}
	return nil
}

func packageVariables(f *ast.File) []*ast.ValueSpec {
	var vars []*ast.ValueSpec
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				vars = append(vars, v)
			}
		}
	}
	return vars
}
