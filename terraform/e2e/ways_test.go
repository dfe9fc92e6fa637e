package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lifetime is that of the tokens of a long apply, in seconds, and steps are so
// many that the apply takes three of them: each step takes more than a second.
const (
	lifetime = 4
	steps    = 3*lifetime + 1
)

// way is a row of the table in docs/terraform.md: how a run comes to a token.
type way struct {
	name     string            // the first cell
	settings map[string]string // of tokend
	plugins  []string
	head     string            // configuration before the steps
	with     map[string]string // environment of a step, as expressions
	call     string            // what a step does; $API is the base URL of the API
	setup    func(t *testing.T, ws *workspace)
	before   func(t *testing.T, ws *workspace) // each terraform command
}

// header has the token come to curl on standard input.
const header = `printf 'Authorization: Bearer %s' "$TOKEN" | curl -sS --fail --noproxy '*' -o /dev/null -H @- "$API/calls"`

// ephemeralToken declares the variable of the recipes without a provider.
const ephemeralToken = "variable \"token\" {\n  type      = string\n  ephemeral = true\n  sensitive = true\n}\n"

func tokenVariable(t *testing.T, ws *workspace) {
	ws.env["TF_VAR_token"] = ws.command(t, "token", "demo")
}

func ways() []way {
	return []way{
		{
			name: "`ephemeral \"tokend_token\"`", plugins: []string{"tokend/tokend"},
			head: "ephemeral \"tokend_token\" \"it\" {\n  client = \"demo\"\n}\n",
			with: map[string]string{"TOKEN": "ephemeral.tokend_token.it.access_token"}, call: header,
		},
		{
			name: "`TF_VAR_token`, ephemeral variable",
			head: ephemeralToken,
			with: map[string]string{"TOKEN": "var.token"}, call: header, before: tokenVariable,
		},
		{
			name: "`tokend exec`, ephemeral variable",
			head: ephemeralToken, with: map[string]string{"TOKEN": "var.token"}, call: header,
			setup: func(_ *testing.T, ws *workspace) {
				ws.before = []string{filepath.Join(built, "bin", "tokend"), "exec", "demo", "--env", "TF_VAR_token", "--"}
			},
		},
		{
			name: "proxy as the base URL", settings: map[string]string{"TOKEND_CLIENT_DEMO_UPSTREAMS": "$API"},
			head: "variable \"key\" {\n  type      = string\n  ephemeral = true\n  sensitive = true\n}\n", with: map[string]string{"TOKEN": "var.key"}, call: header,
			setup: func(t *testing.T, ws *workspace) {
				ws.env["API"], ws.env["TF_VAR_key"] = ws.tokend+"/v1/clients/demo/proxy", ws.key(t)
			},
		},
		{
			name: "token file", call: `curl -sS --fail --noproxy '*' -o /dev/null -H "@$FILE" "$API/calls"`, setup: tokenFile,
		},
		{
			name: "`TF_VAR_token`, sensitive variable",
			head: "variable \"token\" {\n  type      = string\n  sensitive = true\n}\n",
			with: map[string]string{"TOKEN": "var.token"}, call: header, before: tokenVariable,
		},
		{
			name: "`data \"external\"`", plugins: []string{"hashicorp/external"},
			head: "data \"external\" \"token\" {\n  program = [\"tokend\", \"token\", \"--format\", \"external\"]\n  query   = { client = \"demo\" }\n}\n",
			with: map[string]string{"TOKEN": "data.external.token.result.access_token"}, call: header,
		},
		{
			name: "`data \"http\"`", plugins: []string{"hashicorp/http"},
			head: "variable \"url\" {\n  type = string\n}\nvariable \"key\" {\n  type      = string\n  sensitive = true\n}\n" +
				"data \"http\" \"token\" {\n  url             = \"${var.url}/v1/clients/demo/token\"\n  request_headers = { Authorization = \"Bearer ${var.key}\" }\n}\n",
			with: map[string]string{"TOKEN": "jsondecode(data.http.token.response_body).access_token"}, call: header,
			setup: func(t *testing.T, ws *workspace) { ws.env["TF_VAR_url"], ws.env["TF_VAR_key"] = ws.tokend, ws.key(t) },
		},
	}
}

// configuration is the way's with n steps, one after the other.
func (y way) configuration(n int) string {
	var b strings.Builder
	b.WriteString(providers(y.plugins...) + y.head)
	for i := range n {
		fmt.Fprintf(&b, "resource \"terraform_data\" \"step%d\" {\n  provisioner \"local-exec\" {\n    command = %q\n    environment = {\n", i,
			strings.ReplaceAll("sleep 1; "+y.call, "%", "%%"))
		for name, expression := range y.with {
			fmt.Fprintf(&b, "      %s = %s\n", name, expression)
		}
		b.WriteString("    }\n  }\n")
		if i > 0 {
			fmt.Fprintf(&b, "  depends_on = [terraform_data.step%d]\n", i-1)
		}
		b.WriteString("}\n")
	}
	return strings.ReplaceAll(b.String(), "%%", "%")
}

// prepared is a workspace for n steps of the way.
func (y way) prepared(t *testing.T, w *world, n int) *workspace {
	t.Helper()
	ws := w.workspace(t, y.configuration(n), y.plugins...)
	ws.env["API"] = w.api
	if y.setup != nil {
		y.setup(t, ws)
	}
	if y.before != nil {
		y.before(t, ws)
		ws.each = func() { y.before(t, ws) }
	}
	return ws
}

// table is the one of docs/terraform.md: the cells of each row by the first one.
func table(t *testing.T) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for line := range strings.Lines(read(t, "../../docs/terraform.md")) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"); len(cells) == 7 {
			for i, c := range cells {
				cells[i] = strings.TrimSpace(c)
			}
			rows[cells[0]] = cells[1:]
		}
	}
	delete(rows, "way")
	delete(rows, "---")
	return rows
}

// TestWays: every cell of the table is what was measured.
func TestWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, settingsOf(ways()))
	brief := newWorld(t, lifetime, settingsOf(ways()))
	secrets := []string{w.command(t, "token", "demo"), w.key(t)}
	rows := table(t)
	for _, y := range ways() {
		want := rows[y.name]
		if len(want) == 0 {
			t.Errorf("docs/terraform.md has no row %s", y.name)
			continue
		}
		delete(rows, y.name)
		t.Run(y.name, func(t *testing.T) {
			t.Parallel()
			calls := w.journal(t, "endpoint=resource")
			a := y.prepared(t, w, 1).planAndApply(t)
			if w.journal(t, "endpoint=resource") == calls {
				t.Error("the API was not called")
			}
			got := []string{
				yesNo(hits(a.state, secrets...)), yesNo(hits(a.plan, secrets...)), yesNo(hits(a.show, secrets...)), yesNo(hits(a.trace, secrets...)),
				y.outlives(t, brief), installs(y.plugins),
			}
			for i, column := range []string{"state", "plan file", "show -json", "TRACE log", "long apply", "to install"} {
				if got[i] != want[i] {
					t.Errorf("%s: %s, the table says %s", column, got[i], want[i])
				}
			}
		})
	}
	for name := range rows {
		t.Errorf("row %s of docs/terraform.md is not tested", name)
	}
}

// outlives says how an apply ends that takes three lives of a token.
func (y way) outlives(t *testing.T, w *world) string {
	t.Helper()
	ws := y.prepared(t, w, steps)
	ws.must(t, "plan", "-no-color", "-input=false", "-out=tfplan")
	began := time.Now()
	out, err := ws.terraform(t, "apply", "-no-color", "-input=false", "tfplan")
	took := time.Since(began)
	switch {
	case err == nil && took < 3*lifetime*time.Second:
		t.Errorf("the apply took only %s", took)
	case err == nil:
		return "succeeds"
	case openTofu() && strings.Contains(out, "Mismatch between input and plan variable value"):
		// It compares the fresh token of the apply with that in the plan.
	case !strings.Contains(out, "returned error: 401"):
		t.Errorf("it failed for another reason than an expired token:\n%s", out)
	}
	return "fails"
}

func yesNo(b bool) string {
	if b {
		return "**yes**"
	}
	return "no"
}

func installs(plugins []string) string {
	if len(plugins) == 0 {
		return "nothing"
	}
	return strings.Join(plugins, ", ")
}

func settingsOf(all []way) map[string]string {
	s := map[string]string{}
	for _, y := range all {
		maps.Copy(s, y.settings)
	}
	return s
}

// tokenFile makes tokend keep a token in a file next to the run, valid for at least
// two seconds whenever a step reads it.
func tokenFile(t *testing.T, ws *workspace) {
	dir := t.TempDir()
	path := filepath.Join(dir, "header")
	cmd := exec.Command(filepath.Join(built, "bin", "tokend"), "file", "demo", "--to", path, "--format", "header", "--min-validity", "2s")
	cmd.Env, cmd.Dir = environ(ws.world.env), dir
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			ws.env["FILE"] = path
			return
		}
	}
	t.Fatalf("there is no file:\n%s", &said)
}
