package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The agents are programs of five kinds, each with an API key of its own. Each command
// calls the API once. A token must be valid for half of its life, so that a busy machine
// does not use one that has just expired.
const (
	agentLife   = 10 // seconds
	agentExpiry = 10 // how many the session goes through

	agentCurl = `printf 'Authorization: Bearer %s' "$TOKEND_API_KEY" |
    curl -q -fsS --noproxy '*' -H @- "$TOKEND_ADDR/v1/clients/demo/token?format=header&min_validity=5s" |
    curl -q -fsS --noproxy '*' -o /dev/null -H @- "$API/calls"`
	agentExec = `tokend exec demo --min-validity 5s -- sh -c '
    printf "Authorization: Bearer %s" "$DEMO_ACCESS_TOKEN" | curl -q -fsS --noproxy "*" -o /dev/null -H @- "$API/calls"'`
	agentProxied = `printf 'Authorization: Bearer %s' "$TOKEND_API_KEY" | curl -q -fsS --noproxy '*' -o /dev/null -H @- "$BASE/calls"`
)

// TestAgents_OneGrant: five processes of different kinds share one grant whose refresh
// tokens rotate without an overlap, across ten expiries. Each expiry costs one request,
// no family is revoked, every call is authorised, and the audit log accounts for each.
func TestAgents_OneGrant(t *testing.T) {
	t.Parallel()
	w := newTenant(t, agentLife)
	w.patch(t, w.issuer+"_mock/clients/demo", `{"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0}}`)
	audit := filepath.Join(w.dir, "audit.jsonl")
	names := []string{"curl", "exec", "go", "terraform", "proxy"}
	var config strings.Builder
	config.WriteString("audit_file: " + audit + "\nkeys:\n")
	for _, name := range names {
		fmt.Fprintf(&config, "  %s: {key: %s, clients: [demo], access: read}\n", name, keyOf(name))
	}
	if err := os.MkdirAll(filepath.Join(w.dir, "config", "tokend"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "config", "tokend", "tokend.yaml"), []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.startTokend(t, map[string]string{"TOKEND_CLIENT_DEMO_UPSTREAMS": "$API", "TOKEND_LOG_LEVEL": "debug"})
	w.command(t, "token", "demo")
	first := entries(t, audit)["main token 200"] // of this test

	ws := w.workspace(t, providers("tokend/tokend")+`
ephemeral "tokend_token" "calls" {
  client       = "demo"
  min_validity = "5s"
}
resource "terraform_data" "call" {
  triggers_replace = [timestamp()]
  provisioner "local-exec" {
    command     = "`+strings.ReplaceAll(header, `"`, `\"`)+`"
    environment = { TOKEN = ephemeral.tokend_token.calls.access_token, API = "`+w.api+`" }
  }
}
`, "tokend/tokend")
	ws.env["TOKEND_API_KEY"] = keyOf("terraform")
	base := w.relay(t)

	end := make(chan struct{})
	var running sync.WaitGroup
	calls := make([]int, len(names))
	repeat := func(i int, once func() error) {
		running.Go(func() {
			for {
				if err := once(); err != nil {
					t.Errorf("%s: %v", names[i], err)
					return
				}
				calls[i]++
				select {
				case <-end:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	shell := func(name, line string) func() error {
		return func() error {
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-euc", line)
			cmd.Dir, cmd.Env = w.dir, environ(w.env, map[string]string{"API": w.api, "BASE": base, "TOKEND_API_KEY": keyOf(name)})
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		}
	}
	repeat(0, shell("curl", agentCurl))
	repeat(1, shell("exec", agentExec))
	repeat(3, func() error {
		out, err := ws.terraform(t, "apply", "-auto-approve", "-no-color", "-input=false")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	repeat(4, shell("proxy", agentProxied))
	running.Go(func() { calls[2] = w.goProgram(t, end) })

	for deadline := time.Now().Add(3 * time.Minute); w.journal(t, "endpoint=token&grant=refresh_token") < agentExpiry; time.Sleep(50 * time.Millisecond) {
		if t.Failed() || time.Now().After(deadline) {
			break
		}
	}
	close(end)
	running.Wait()

	posts := w.journal(t, "endpoint=token&grant=refresh_token")
	var families struct {
		Families []struct {
			Generation int
			Revoked    string
		}
	}
	get(t, w.issuer+"_mock/families", &families)
	if len(families.Families) != 1 || families.Families[0].Revoked != "" {
		t.Fatalf("families %+v", families)
	}
	total := 0
	for i, n := range calls {
		total += n
		if n < 5 && names[i] != "terraform" || n < 2 {
			t.Errorf("%s made %d calls only", names[i], n)
		}
	}
	if all, good := w.journal(t, "endpoint=resource"), w.journal(t, "endpoint=resource&status=200"); all != total || good != total {
		t.Errorf("the API had %d calls, %d of them authorised, and the agents made %d", all, good, total)
	}
	// On a busy machine the last run of terraform outlives another token.
	if generation := families.Families[0].Generation; posts < agentExpiry || posts > agentExpiry+2 || generation != posts+1 {
		t.Errorf("%d refreshes for %d expiries, generation %d", posts, agentExpiry, generation)
	}
	got := entries(t, audit)
	want := map[string]int{
		"curl token 200": calls[0], "exec token 200": calls[1], "go token 200": calls[2],
		"terraform token 200": got["terraform token 200"], "proxy proxy 200": calls[4], "main token 200": first,
	}
	if n := got["terraform token 200"]; n < calls[3] || n > 2*calls[3] { // at plan and apply
		t.Errorf("%d tokens for %d runs of terraform", n, calls[3])
	}
	for key, n := range got {
		if want[key] != n && !strings.HasPrefix(key, "socket ") {
			t.Errorf("the audit log has %d entries %q, not %d", n, key, want[key])
		}
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("the audit log has %d entries %q, not %d", got[key], key, n)
		}
	}
	t.Logf("%d refreshes, %d calls: %v %v", posts, total, names, calls)
}

// keyOf is the API key of an agent.
func keyOf(name string) string { return "the-key-of-the-agent-" + name }

// goProgram runs the Go program until end, and returns how often it has called the API.
func (w *world) goProgram(t *testing.T, end <-chan struct{}) int {
	cmd := exec.CommandContext(t.Context(), filepath.Join(built, "bin", "calling"))
	cmd.Env = environ(w.env, map[string]string{"API": w.api, "TOKEND_API_KEY": keyOf("go")})
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return 0
	}
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0
	}
	<-end
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the Go program: %v\n%s", err, &log)
	}
	n, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Errorf("the Go program: %v", err)
	}
	return n
}

// relay runs tokend proxy until the test ends, and returns its base URL.
func (w *world) relay(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(built, "bin", "tokend"), "proxy", "demo")
	cmd.Env = environ(w.env, map[string]string{"TOKEND_API_KEY": keyOf("proxy")})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	line := make([]byte, 256)
	n, err := out.Read(line)
	base := regexp.MustCompile(`^http://\S+`).FindString(string(line[:n]))
	if err != nil || base == "" {
		t.Fatalf("tokend proxy: %q, %v", line[:n], err)
	}
	return strings.TrimSuffix(base, "/")
}

// entries counts the entries of an audit log by caller, action and status.
func entries(t *testing.T, path string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(read(t, path)) {
		var e struct {
			Caller, Action string
			Status         int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		counts[fmt.Sprintf("%s %s %d", e.Caller, e.Action, e.Status)]++
	}
	return counts
}

func (w *world) patch(t *testing.T, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", url, resp.StatusCode)
	}
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
