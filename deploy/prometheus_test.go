package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promtool runs Prometheus' own tool in prometheus/. Without it the test is skipped on a
// person's machine and fails in CI.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing, and CI must not skip; it is in Debian's package prometheus")
		}
		t.Skip("promtool is missing; it is in Debian's package prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "prometheus"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const (
	rules     = "tokend.rules.yml"
	ruleTests = "tokend.rules.test.yml"
)

func TestAlerts_FireWhenTheirTestsSay(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", ruleTests}} {
		if out, err := promtool(t, args...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every alert has a test in which it fires, and one in which it does not.
func TestAlerts_AreTested(t *testing.T) {
	tests := read(t, filepath.Join("prometheus", ruleTests))
	alerts := regexp.MustCompile(`(?m)^\s*- alert: (\w+)$`).FindAllStringSubmatch(read(t, filepath.Join("prometheus", rules)), -1)
	if len(alerts) < 6 {
		t.Fatalf("only %d alerts", len(alerts))
	}
	for _, a := range alerts {
		for kind, pattern := range map[string]string{"fires": `exp_alerts:\n\s+- exp_labels:`, "does not fire": `exp_alerts: \[\]`} {
			if !regexp.MustCompile(`alertname: ` + a[1] + `\n\s+` + pattern).MatchString(tests) {
				t.Errorf("no test in which %s %s", a[1], kind)
			}
		}
	}
}

// dashboard is what Grafana reads of tokend.json.
type dashboard struct {
	Title         string
	UID           string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Definition string }
	}
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct{ RefID, Expr string }
}

func TestDashboard_IsSound(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana/tokend.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) < 10 {
		t.Fatalf("%q, %q, schema %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	ids := map[int]bool{}
	var exprs []string
	for i, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: id %d, position %+v", i, p.Title, p.ID, p.GridPos)
		}
		ids[p.ID] = true
		for _, o := range d.Panels[:i] {
			if a, b := p.GridPos, o.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q overlap", p.Title, o.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q: %d queries, of %q", p.Title, len(p.Targets), p.Datasource.UID)
		}
		for _, q := range p.Targets {
			exprs = append(exprs, q.Expr)
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	variable := regexp.MustCompile(`\$(\w+)`)
	for _, e := range exprs {
		for _, v := range variable.FindAllStringSubmatch(e, -1) {
			if v[1] != "__rate_interval" && !slices.Contains(names, v[1]) {
				t.Errorf("%s uses %s, which is not a variable", e, v[0])
			}
		}
	}
	checkQueries(t, exprs)
}

// checkQueries lets Prometheus parse queries, as rules of a file.
func checkQueries(t *testing.T, exprs []string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, e := range exprs {
		e = strings.NewReplacer("$__rate_interval", "5m").Replace(e)
		fmt.Fprintf(&b, "  - record: query%d\n    expr: %q\n", i, e)
	}
	path := write(t, filepath.Join(t.TempDir(), "queries.yml"), b.String(), 0o600)
	if out, err := promtool(t, "check", "rules", path); err != nil {
		t.Errorf("Prometheus cannot read a query of the dashboard: %v\n%s\n%s", err, out, &b)
	}
}

// Prometheus accepts the configurations of docs/metrics.md.
func TestScrapeConfigurations_AreValid(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "metrics.md")), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d configurations", len(blocks))
	}
	for _, b := range blocks {
		path := write(t, filepath.Join(t.TempDir(), "prometheus.yml"), b[1], 0o600)
		if out, err := promtool(t, "check", "config", "--syntax-only", path); err != nil {
			t.Errorf("%v\n%s\n%s", err, out, b[1])
		}
	}
}
