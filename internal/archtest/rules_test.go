package archtest

import (
	"slices"
	"strings"
	"testing"
)

// makeGraph returns a graph of this module's packages from "path" → imports.
func makeGraph(imports map[string][]string) graph {
	g := graph{}
	for path, list := range imports {
		p := &pkg{ImportPath: path, Imports: list}
		if rel, ok := strings.CutPrefix(path, "our:"); ok {
			p.ImportPath = module + rel
		}
		p.Imports = nil
		for _, imp := range list {
			if rel, ok := strings.CutPrefix(imp, "our:"); ok {
				imp = module + rel
			}
			p.Imports = append(p.Imports, imp)
		}
		p.Standard = !strings.Contains(strings.SplitN(p.ImportPath, "/", 2)[0], ".")
		g[p.ImportPath] = p
	}
	return g
}

// sound returns a graph without violations.
func sound() map[string][]string {
	return map[string][]string{
		"our:pkg/flow":                  {"github.com/go-jose/go-jose/v4", "time"},
		"our:pkg/mock":                  {"our:pkg/mock/tenant", "github.com/go-jose/go-jose/v4", "golang.org/x/oauth2"},
		"our:pkg/mock/tenant":           {"encoding/json"},
		"our:internal/daemon":           {"our:pkg/flow", "our:internal/audit", "our:internal/dashboard", "our:internal/events", "our:internal/guard", "our:internal/keeper", "our:internal/metrics", "our:internal/proxy", "our:internal/requestid", "our:internal/trace", "our:internal/near", "our:internal/hint", gin},
		"our:internal/dashboard":        {"our:pkg/flow", qr},
		"our:internal/guard":            {"net/http"},
		"our:internal/apikey":           {"our:internal/hint"},
		"our:internal/audit":            {"our:internal/hint"},
		"our:internal/keeper":           {"time"},
		"our:internal/metrics":          {prometheus + "/client_golang/prometheus", "time"},
		"our:internal/events":           {"our:pkg/flow", "our:internal/hint"},
		"our:internal/proxy":            {"our:pkg/flow", "our:internal/guard", "net/http"},
		"our:internal/requestid":        {"our:pkg/flow"},
		"our:internal/trace":            {"our:internal/hint", "net/http"},
		"our:internal/recording":        {"our:pkg/contract"},
		"our:internal/near":             {"time"},
		"our:internal/hint":             {"time"},
		"our:internal/tokenfile":        {"our:pkg/flow", "our:internal/hint"},
		"our:internal/config":           {"our:pkg/flow", "our:internal/tokenfile", "our:internal/hint", envconfig},
		"our:internal/store":            {"our:internal/store/sqlite", "our:internal/store/postgres", "our:internal/store/seal", "our:pkg/flow"},
		"our:internal/store/seal":       {"github.com/tink-crypto/tink-go/v2/aead"},
		"our:internal/store/sqlite":     {"our:pkg/flow", "modernc.org/sqlite"},
		"our:internal/child":            {"time"},
		"our:internal/store/postgres":   {"our:pkg/flow", pgx + "/v5"},
		"our:internal/systemd":          {"our:pkg/flow", "our:internal/hint", systemd + "/v22/daemon"},
		"our:internal/terminal":         {qr, "time"},
		"our:cmd/tokend":                {"our:internal/config", "our:internal/daemon", "our:internal/store", "our:internal/systemd", "our:pkg/flow"},
		"our:cmd/mockauth0":             {"our:pkg/mock", gin, envconfig},
		"our:pkg/tokend":                {"golang.org/x/oauth2", "net/http"},
		"our:internal/format":           {"our:internal/hint", "our:pkg/tokend", "time"},
		"our:cmd/internal/exitcode":     {"our:internal/format", "our:pkg/tokend"},
		"our:cmd/tokend-credential":     {"our:cmd/internal/exitcode", "our:internal/format"},
		"github.com/go-jose/go-jose/v4": {"encoding/json"}, "golang.org/x/oauth2": {"net/http"},
		"encoding/json": {}, "net/http": {}, "time": {},
	}
}

func TestRulesSeeImports(t *testing.T) {
	tests := []struct {
		rule, from, imports, want string
	}{
		{"pkg_stands_alone", "our:pkg/flow", "our:pkg/mock", "pkg/flow: imports " + module + "pkg/mock"},
		{"pkg_stands_alone", "our:pkg/mock", "our:pkg/flow", "pkg/mock: imports " + module + "pkg/flow"},
		{"pkg_stands_alone", "our:pkg/contract", "our:internal/store", "pkg/contract: imports"},
		{"pkg_stands_alone", "our:pkg/contract", "our:pkg/mock/tenant", "pkg/contract: imports " + module + "pkg/mock/tenant"},
		{"pkg_stands_alone", "our:pkg/mock/tenant", "our:pkg/mock", "pkg/mock/tenant: imports " + module + "pkg/mock"},
		{"faces_know_what_they_need", "our:internal/daemon", "our:internal/store", "internal/daemon: imports"},
		{"faces_know_what_they_need", "our:internal/daemon/pages", "our:pkg/mock", "internal/daemon/pages: imports"},
		{"faces_know_what_they_need", "our:internal/tokenfile", "our:internal/daemon", "internal/tokenfile: imports"},
		{"faces_know_what_they_need", "our:internal/apikey", "our:pkg/flow", "internal/apikey: imports"},
		{"faces_know_what_they_need", "our:internal/audit", "our:pkg/flow", "internal/audit: imports"},
		{"faces_know_what_they_need", "our:internal/dashboard", "our:internal/guard", "internal/dashboard: imports"},
		{"faces_know_what_they_need", "our:internal/guard", "our:pkg/flow", "internal/guard: imports"},
		{"faces_know_what_they_need", "our:internal/guard", "our:internal/hint", "internal/guard: imports"},
		{"faces_know_what_they_need", "our:internal/proxy", "our:internal/daemon", "internal/proxy: imports"},
		{"faces_know_what_they_need", "our:internal/proxy", "our:internal/tokenfile", "internal/proxy: imports"},
		{"faces_know_what_they_need", "our:internal/keeper", "our:pkg/flow", "internal/keeper: imports"},
		{"faces_know_what_they_need", "our:internal/requestid", "our:internal/guard", "internal/requestid: imports"},
		{"faces_know_what_they_need", "our:internal/recording", "our:pkg/mock", "internal/recording: imports"},
		{"faces_know_what_they_need", "our:internal/metrics", "our:pkg/flow", "internal/metrics: imports"},
		{"faces_know_what_they_need", "our:internal/events", "our:internal/daemon", "internal/events: imports"},
		{"faces_know_what_they_need", "our:internal/hint", "our:pkg/flow", "internal/hint: imports"},
		{"faces_know_what_they_need", "our:internal/near", "our:internal/hint", "internal/near: imports"},
		{"faces_know_what_they_need", "our:internal/storeurl", "our:internal/hint", "internal/storeurl: imports"},
		{"configuration_knows_no_command", "our:internal/config", "our:internal/daemon", "internal/config: imports " + module + "internal/daemon"},
		{"configuration_knows_no_command", "our:internal/config", "our:internal/store", "internal/config: imports"},
		{"system_packages_know_no_command", "our:internal/child", "our:internal/hint", "internal/child: imports"},
		{"system_packages_know_no_command", "our:internal/terminal", "our:pkg/flow", "internal/terminal: imports"},
		{"system_packages_know_no_command", "our:internal/systemd", "our:internal/config", "internal/systemd: imports " + module + "internal/config"},
		{"system_packages_know_no_command", "our:cmd/tokend", systemd + "/v22/daemon", "that is for internal/systemd"},
		{"system_packages_know_no_command", "our:cmd/tokend", qr, "that is for internal/terminal"},
		{"stores_know_flow_and_their_driver", "our:internal/store/postgres", "our:internal/store/sqlite", "internal/store/postgres: imports"},
		{"stores_know_flow_and_their_driver", "our:internal/store/seal", "our:internal/daemon", "internal/store/seal: imports"},
		{"stores_know_flow_and_their_driver", "our:internal/store/postgres", "modernc.org/sqlite/lib", "that is for internal/store/sqlite"},
		{"stores_know_flow_and_their_driver", "our:cmd/tokend", pgx + "/v5", "that is for internal/store/postgres"},
		{"frameworks_stay_where_they_are_used", "our:pkg/mock", gin, "pkg/mock: imports " + gin},
		{"frameworks_stay_where_they_are_used", "our:cmd/tokend", gin, "cmd/tokend: imports " + gin},
		{"frameworks_stay_where_they_are_used", "our:internal/guard", gin, "internal/guard: imports " + gin},
		{"frameworks_stay_where_they_are_used", "our:internal/proxy", gin, "internal/proxy: imports " + gin},
		{"frameworks_stay_where_they_are_used", "our:cmd/tokend", prometheus + "/client_golang/prometheus/promhttp", "that is for internal/metrics"},
		{"frameworks_stay_where_they_are_used", "our:internal/daemon", prometheus + "/common/expfmt", "that is for internal/metrics"},
		{"frameworks_stay_where_they_are_used", "our:internal/store", envconfig, "that is for cmd"},
		{"frameworks_stay_where_they_are_used", "golang.org/x/oauth2", "cloud.google.com/go/metadata", "pkg/mock: needs cloud.google.com/go/metadata"},
		{"formats_know_the_client_only", "our:internal/format", "our:pkg/flow", "internal/format: imports " + module + "pkg/flow"},
		{"formats_know_the_client_only", "our:internal/format", "github.com/spf13/cobra", "internal/format: imports github.com/spf13/cobra"},
		{"credential_program_is_light", "our:cmd/tokend-credential", "our:internal/store", "links " + module + "internal/store/sqlite"},
		{"credential_program_is_light", "our:cmd/internal/exitcode", "our:pkg/flow", "links github.com/go-jose/go-jose/v4"},
		{"credential_program_is_light", "our:internal/format", gin, "links " + gin},
		{"credential_program_is_light", "our:pkg/tokend", "github.com/tink-crypto/tink-go/v2/aead", "links github.com/tink-crypto"},
		{"credential_program_is_light", "our:cmd/tokend-credential", "github.com/spf13/cobra", "links github.com/spf13/cobra"},
		{"credential_program_is_light", "golang.org/x/oauth2", "google.golang.org/protobuf/proto", "links google.golang.org/protobuf/proto"},
		{"test_packages_are_for_tests", "our:cmd/tokend", "our:internal/openapi", "cmd/tokend: imports " + module + "internal/openapi"},
		{"test_packages_are_for_tests", "our:internal/daemon", "our:internal/clidocs", "internal/daemon: imports " + module + "internal/clidocs"},
		{"no_tracing_without_its_tag", "our:internal/trace", otel + "/otel/trace", otel + "/otel/trace: is built"},
		{"no_tracing_without_its_tag", "golang.org/x/oauth2", otel + "/otel", otel + "/otel: is built"},
		{"faces_know_what_they_need", "our:internal/trace", "our:pkg/flow", "internal/trace: imports " + module + "pkg/flow"},
		{"depth", "our:pkg/flow", "our:pkg/deeper", "import chain of 4: cmd/tokend → "},
	}
	for _, tt := range tests {
		t.Run(tt.rule+"/"+strings.TrimPrefix(tt.from, "our:"), func(t *testing.T) {
			imports := sound()
			if bad := broken(tt.rule, makeGraph(imports)); len(bad) != 0 {
				t.Fatalf("the sound graph breaks the rule: %q", bad)
			}
			imports[tt.from] = append(slices.Clone(imports[tt.from]), tt.imports)
			if _, known := imports[tt.imports]; !known {
				imports[tt.imports] = nil
			}
			bad := broken(tt.rule, makeGraph(imports))
			if !slices.ContainsFunc(bad, func(v string) bool { return strings.Contains(v, tt.want) }) {
				t.Errorf("%s importing %s: got %q, want one with %q", tt.from, tt.imports, bad, tt.want)
			}
		})
	}
}

// TestRulesSeeTests: the rule for public packages includes their tests.
func TestRulesSeeTests(t *testing.T) {
	for _, field := range []string{"TestImports", "XTestImports"} {
		g := makeGraph(sound())
		p := g[module+"pkg/flow"]
		p.XTestImports = []string{p.ImportPath} // package flow_test imports flow
		if bad := broken("pkg_stands_alone", g); len(bad) != 0 {
			t.Fatalf("an external test of its own breaks the rule: %q", bad)
		}
		if field == "TestImports" {
			p.TestImports = []string{module + "pkg/mock"}
		} else {
			p.XTestImports = append(p.XTestImports, module+"pkg/mock")
		}
		if bad := broken("pkg_stands_alone", g); len(bad) != 1 {
			t.Errorf("%s: got %q, want one violation", field, bad)
		}
	}
}

func TestRulesSeeSource(t *testing.T) {
	const signatures, fields = "frameworks_stay_where_they_are_used", "time_and_randomness_are_fields"
	const secrets = "hidden_secrets_are_masked"
	tests := []struct {
		name, rule, source, want string
	}{
		{"method with gin", signatures, `import "github.com/gin-gonic/gin"; func (d *Daemon) Routes(e *gin.Engine) {}`, "Routes shows gin"},
		{"result with gin renamed", signatures, `import g "github.com/gin-gonic/gin"; func New() (http.Handler, *g.Engine)`, "New shows gin"},
		{"field with gin", signatures, `import "github.com/gin-gonic/gin"; type Config struct { Engine *gin.Engine }`, "Config shows gin"},
		{"embedded gin", signatures, `import "github.com/gin-gonic/gin"; type Daemon struct { *gin.Engine }`, "Daemon shows gin"},
		{"alias of gin", signatures, `import "github.com/gin-gonic/gin"; type Handler = gin.HandlerFunc`, "Handler shows gin"},
		{"variable of gin", signatures, `import "github.com/gin-gonic/gin"; var Engine = gin.New()`, "Engine shows gin"},
		{"field of Prometheus", signatures, `import "github.com/prometheus/client_golang/prometheus"; type Metrics struct { Registry *prometheus.Registry }`, "Metrics shows Prometheus' library"},
		{"gin inside", signatures, `import "github.com/gin-gonic/gin"
			func (d *Daemon) routes(c *gin.Context) {}
			type Daemon struct { engine *gin.Engine }
			type hidden struct { Engine *gin.Engine }
			func New() http.Handler { return gin.New() }`, ""},

		{"a hidden secret", secrets, `type Client struct { key Secret }`, "Client has a secret in key"},
		{"a hidden secret of another package", secrets, `type Client struct { key flow.Secret }`, "Client has a secret in key"},
		{"a secret below", secrets, `type Client struct { cfg Config }; type Config struct { Keys map[string][]Secret }`, "Client has a secret in cfg"},
		{"a masked one below", secrets, `type Client struct { t token }; type token struct { Text Secret }; func (t token) Format(fmt.State, rune) {}`, "Client has a secret in t"},
		{"a secret behind a pointer", secrets, `type Client struct { Token *token; next *Client }; type token struct { Text Secret }`, "Client has a secret in Token"},
		{"an embedded one", secrets, `type Client struct { core }; type core struct { key Secret }`, "Client has a secret in key"},
		{"secrets that mask themselves", secrets, `
			type Config struct { Key Secret; Options struct { More []Secret } }
			type Client struct { key Secret; token *Token }
			type Source struct { Client *Client }
			func (c *Client) Format(f fmt.State, _ rune) {}
			type Token struct { Text Secret }
			type inner struct { key Secret }`, ""},

		{"clock", fields, `import "time"; var now = time.Now`, "now holds a clock"},
		{"clock type", fields, `import "time"; var now func() time.Time`, "now holds a clock"},
		{"clock renamed in a group", fields, `import clock "time"; var ( a = 1; now = clock.Now )`, "now holds a clock"},
		{"start", fields, `import "time"; var started = time.Now()`, "started holds a clock"},
		{"source", fields, `import "crypto/rand"; var random = rand.Reader`, "random holds a source of randomness"},
		{"generator", fields, `import "math/rand/v2"; var rng = rand.New(rand.NewPCG(1, 2))`, "rng holds a source of randomness"},
		{"global generator", fields, `import "math/rand/v2"; func jitter() float64 { return rand.Float64() }`, "draws from the global source"},
		{"old global generator", fields, `import "math/rand"; func jitter() int { return rand.Intn(3) }`, "draws from the global source"},
		{"fields and durations", fields, `import ("crypto/rand"; "time"); import mrand "math/rand/v2"
			type Config struct { Now func() time.Time; Rand io.Reader }
			const window = time.Minute
			var backoff = []time.Duration{time.Second}
			func (c Config) fill() Config { c.Now, c.Rand = time.Now, rand.Reader; return c }
			func seeded(s uint64) *mrand.Rand { return mrand.New(mrand.NewPCG(s, 0)) }`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := makeGraph(sound())
			p := g[module+"internal/daemon"]
			p.files = append(p.files, parse(t, "made.go", "package daemon\n"+tt.source))
			bad := broken(tt.rule, g)
			if tt.want == "" && len(bad) != 0 {
				t.Errorf("got %q, want none", bad)
			}
			if tt.want != "" && (len(bad) != 1 || !strings.Contains(bad[0], tt.want)) {
				t.Errorf("got %q, want one with %q", bad, tt.want)
			}
		})
	}
}

// broken returns the violations of a rule, by its name.
func broken(name string, g graph) []string {
	for _, r := range rules {
		if r.name == name {
			return r.check(g)
		}
	}
	return []string{"there is no rule " + name}
}
