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
	systemd    = "github.com/coreos/go-systemd"
	qr         = "rsc.io/qr"
	pgx        = "github.com/jackc/pgx"
	prometheus = "github.com/prometheus"
	otel       = "go.opentelemetry.io"
	maxDepth   = 3
	mathRand   = "math/rand"
	mathRandV2 = "math/rand/v2"
)

// rules are the import rules; each returns its violations.
var rules = []struct {
	name  string
	check func(graph) []string
}{
	{"pkg_stands_alone", publicStandsAlone},
	{"faces_know_what_they_need", facesKnowWhatTheyNeed},
	{"stores_know_flow_and_their_driver", storesKnowFlowAndDriver},
	{"configuration_knows_no_command", configurationKnowsNoCommand},
	{"system_packages_know_no_command", systemPackagesKnowNoCommand},
	{"frameworks_stay_where_they_are_used", frameworksStay},
	{"formats_know_the_client_only", formatsKnowClientOnly},
	{"credential_program_is_light", credentialProgramIsLight},
	{"time_and_randomness_are_fields", timeAndRandomnessAreFields},
	{"hidden_secrets_are_masked", hiddenSecretsAreMasked},
	{"test_packages_are_for_tests", testPackagesAreForTests},
	{"no_tracing_without_its_tag", noTracing},
	{"depth", depth},
}

func TestImports(t *testing.T) {
	g := load(t)
	for _, must := range []string{
		"pkg/flow", "pkg/mock", "pkg/mock/tenant", "pkg/mock/management", "pkg/contract", "internal/apikey", "internal/audit", "internal/dashboard", "internal/daemon", "internal/guard", "internal/keeper", "internal/metrics", "internal/proxy", "internal/requestid", "internal/trace",
		"internal/near", "internal/hint", "internal/durable", "internal/config", "internal/store", "internal/store/sqlite", "internal/store/postgres", "internal/storeurl",
		"internal/tokenfile", "internal/format", "internal/doctor", "internal/child", "internal/harden", "internal/systemd", "internal/terminal", "cmd/internal/exitcode", "cmd/tokend", "cmd/tokend-credential", "cmd/mockauth0",
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

// With its tag, OpenTelemetry is used in one package.
func TestImports_OfTracing(t *testing.T) {
	g := load(t, "otel")
	if len(noTracing(g)) == 0 {
		t.Error("the tag otel builds no tracing: the rule sees nothing")
	}
	for _, v := range confined(g, otel, "internal/trace") {
		t.Error(v)
	}
}

// noTracing: a program without the tag otel does not link OpenTelemetry, by way of
// another library either.
func noTracing(g graph) []string {
	var bad []string
	for path := range g {
		if within(path, otel) {
			bad = append(bad, violation(path, "is built; that is for the tag otel"))
		}
	}
	return bad
}

// testPackagesAreForTests: the packages that compare the documents with the code are
// imported by tests only, so that no program links what they need.
func testPackagesAreForTests(g graph) []string {
	var bad []string
	for path, p := range g.ours() {
		for _, imp := range p.Imports {
			if name := strings.TrimPrefix(imp, module); name == "internal/openapi" || name == "internal/clidocs" {
				bad = append(bad, violation(path, "imports %s; that is for tests", imp))
			}
		}
	}
	return bad
}

// publicStandsAlone: a public package and its tests import nothing of this
// module. A client and a mock that share code would share its errors. Exception:
// pkg/mock may import its schema and its Management API.
func publicStandsAlone(g graph) []string {
	var bad []string
	for path, p := range g.ours() {
		if !within(path, "pkg") {
			continue
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			part := path == "pkg/mock" && (imp == module+"pkg/mock/tenant" || imp == module+"pkg/mock/management")
			if strings.HasPrefix(imp, module) && imp != p.ImportPath && !part {
				bad = append(bad, violation(path, "imports %s; a public package imports nothing of this module", imp))
			}
		}
	}
	return bad
}

// leaves are packages that import nothing of ours; every other one may import them.
var leaves = []string{"internal/near", "internal/hint", "internal/durable", "internal/storeurl"}

// facesKnowWhatTheyNeed: packages that serve tokens, by HTTP or in files, import no
// store and not each other. The guard does not import OAuth packages, and the proxy not
// the API.
func facesKnowWhatTheyNeed(g graph) []string {
	var bad []string
	for folder, may := range map[string][]string{
		"internal/daemon":    append([]string{"pkg/flow", "internal/audit", "internal/dashboard", "internal/events", "internal/guard", "internal/keeper", "internal/metrics", "internal/proxy", "internal/requestid", "internal/trace"}, leaves...),
		"internal/apikey":    leaves,
		"internal/audit":     leaves,
		"internal/dashboard": {"pkg/flow"}, // it renders what the API gives it
		"internal/events":    append([]string{"pkg/flow"}, leaves...),
		"internal/keeper":    nil, // what it keeps is an interface
		"internal/metrics":   nil, // what it counts are names and numbers
		"internal/proxy":     append([]string{"pkg/flow", "internal/guard"}, leaves...),
		"internal/guard":     nil, // the proxy imports it, and no chain is longer than three
		"internal/requestid": append([]string{"pkg/flow"}, leaves...),
		"internal/tokenfile": append([]string{"pkg/flow"}, leaves...),
		"internal/trace":     leaves, // what it traces are names and statuses
		"internal/recording": {"pkg/contract"},
		"internal/near":      nil,
		"internal/hint":      nil,
		"internal/durable":   nil,
		"internal/storeurl":  nil,
	} {
		bad = append(bad, only(g, func(path string) bool { return within(path, folder) }, may...)...)
	}
	return bad
}

// storesKnowFlowAndDriver: packages under internal/store import only pkg/flow,
// and therefore no other store; only a store imports its driver.
func storesKnowFlowAndDriver(g graph) []string {
	bad := only(g, func(path string) bool { return strings.HasPrefix(path, "internal/store/") }, append([]string{"pkg/flow"}, leaves...)...)
	drivers := map[string]string{"modernc.org/sqlite": "internal/store/sqlite", pgx: "internal/store/postgres"}
	for driver, store := range drivers {
		bad = append(bad, confined(g, driver, store)...)
	}
	return bad
}

// frameworksStay: gin is used in two places and Prometheus' library in one, neither is in
// an exported signature, only commands and their configuration read the environment with
// envconfig, and a test that imports pkg/mock builds only go-jose and x/oauth2.
func frameworksStay(g graph) []string {
	bad := confined(g, gin, "internal/daemon", "cmd/mockauth0")
	bad = append(bad, confined(g, envconfig, "cmd", "internal/config")...)
	bad = append(bad, confined(g, prometheus, "internal/metrics")...)
	for path, p := range g.ours() {
		for _, f := range p.files {
			for _, name := range exportedWith(f, localName(f, gin)) {
				bad = append(bad, violation(path, "%s shows gin in an exported signature", name))
			}
			for _, name := range exportedWith(f, localName(f, prometheus+"/client_golang/prometheus")) {
				bad = append(bad, violation(path, "%s shows Prometheus' library in an exported signature", name))
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

// formatsKnowClientOnly: the output forms import pkg/tokend and leaves of this module,
// and of others nothing directly.
func formatsKnowClientOnly(g graph) []string {
	var bad []string
	p := g[module+"internal/format"]
	if p == nil {
		return nil
	}
	for _, imp := range p.Imports {
		if imp == module+"pkg/tokend" || slices.Contains(leaves, strings.TrimPrefix(imp, module)) || g[imp] != nil && g[imp].Standard {
			continue
		}
		bad = append(bad, violation("internal/format", "imports %s; only pkg/tokend, leaves and the standard library are allowed here", imp))
	}
	return bad
}

// credentialProgramIsLight: a program that git and Docker start for every request
// links the client, the forms and golang.org/x/oauth2, nothing else.
func credentialProgramIsLight(g graph) []string {
	var bad []string
	for dep := range closure(g, module+"cmd/tokend-credential") {
		if g[dep].Standard || within(dep, "golang.org/x/oauth2") {
			continue
		}
		rel, ours := strings.CutPrefix(dep, module)
		if !ours || !slices.Contains([]string{"cmd/tokend-credential", "cmd/internal/exitcode", "internal/format", "internal/hint", "internal/near", "pkg/tokend"}, rel) {
			bad = append(bad, violation("cmd/tokend-credential", "links %s, which makes each of its starts slower", dep))
		}
	}
	slices.Sort(bad)
	return bad
}

// timeAndRandomnessAreFields: no package variable is a clock or a source of
// randomness, and no code uses math/rand's global source.
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

// depth: no chain of imports in this module is longer than three.
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

// configurationKnowsNoCommand: the configuration imports the packages whose settings it
// checks, but no commands.
func configurationKnowsNoCommand(g graph) []string {
	return only(g, func(path string) bool { return within(path, "internal/config") }, append([]string{"pkg/flow", "internal/apikey", "internal/tokenfile"}, leaves...)...)
}

// systemPackagesKnowNoCommand: what a command needs of the system, the terminal, the
// service manager and other programs, knows neither commands nor configuration.
func systemPackagesKnowNoCommand(g graph) []string {
	var bad []string
	for folder, may := range map[string][]string{
		"internal/child":    nil,
		"internal/harden":   nil,
		"internal/terminal": nil,
		"internal/systemd":  append([]string{"pkg/flow"}, leaves...),
	} {
		bad = append(bad, only(g, func(path string) bool { return within(path, folder) }, may...)...)
	}
	bad = append(bad, confined(g, systemd, "internal/systemd")...)
	return append(bad, confined(g, qr, "internal/terminal", "internal/dashboard")...)
}

// only reports imports of ours other than these.
func only(g graph, applies func(string) bool, may ...string) []string {
	var bad []string
	for path, p := range g.ours() {
		for _, imp := range p.Imports {
			rel, own := strings.CutPrefix(imp, module)
			if applies(path) && own && !slices.Contains(may, rel) {
				bad = append(bad, violation(path, "imports %s; of this module it may import only: %s", imp, strings.Join(may, ", ")))
			}
		}
	}
	for _, leaf := range leaves {
		if p := g[module+leaf]; p != nil && slices.ContainsFunc(p.Imports, func(imp string) bool { return strings.HasPrefix(imp, module) }) {
			bad = append(bad, violation(leaf, "imports a package of this module; it is a leaf"))
		}
	}
	return bad
}

// confined reports imports of a dependency outside of the given directories.
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

// closure returns all dependencies of a package.
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

// exportedWith returns the exported declarations of a file whose signature uses
// the package with that local name.
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
