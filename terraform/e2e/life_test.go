package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLife: what docs/terraform.md shows prints when the token expires, and the
// same time out of the ephemeral resource may not be printed.
func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	shown := regexp.MustCompile("(?s)```terraform\n(.*?)```").FindStringSubmatch(read(t, "../../docs/terraform.md"))
	if len(shown) == 0 {
		t.Fatal("docs/terraform.md shows no block marked terraform")
	}
	// The block is added to the configuration of "The provider", without its call of the API.
	head := regexp.MustCompile("(?s)```hcl\n(.*?)\nvariable .*?\n(ephemeral .*?)\nresource ").FindStringSubmatch(read(t, "../../docs/terraform.md"))
	if len(head) == 0 {
		t.Fatal("docs/terraform.md has no configuration of the provider")
	}
	apply := func(text string) string {
		out, _ := w.workspace(t, head[1]+"\n"+head[2]+text, "tokend/tokend").terraform(t, "apply", "-auto-approve", "-no-color", "-input=false")
		return strings.Join(strings.Fields(out), " ")
	}
	tests := []struct{ name, from, to, want string }{
		{"as it stands", "", "", `token = { "expires_at" = "20\d\d-\S+Z" "now" = "20\d\d-\S+Z" }`},
		{"too late", `"30m"`, `"48h"`, "expires in less than half an hour"},
		{"expires_at", "data.tokend_client.demo.expires_at", "ephemeral.tokend_token.calls.expires_at", "Error: Ephemeral value not allowed|Error: Output does not allow ephemeral value"},
		{"jwt_expiry", "data.tokend_client.demo.expires_at", "provider::tokend::jwt_expiry(ephemeral.tokend_token.calls.access_token)", "Error: Ephemeral value not allowed|Error: Output refers to sensitive values"},
	}
	for _, tt := range tests {
		if out := apply(strings.Replace(shown[1], tt.from, tt.to, 1)); !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("%s: want %q:\n%s", tt.name, tt.want, out)
		}
	}
	if out := w.command(t, "token", "demo", "--format", "json"); !strings.Contains(out, `"expires_in":`) {
		t.Errorf("%.20s…", out)
	}
}

// TestDay: with tokens of a day plan and apply get the same one, and the tenant
// is not asked again.
func TestDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	w.command(t, "token", "demo")
	before := w.journal(t, "endpoint=token")
	ws := w.workspace(t, providers("tokend/tokend")+`
ephemeral "tokend_token" "calls" {
  client       = "demo"
  min_validity = "21h"
}
resource "terraform_data" "call" {
  provisioner "local-exec" {
    command     = "`+strings.ReplaceAll(header, `"`, `\"`)+`"
    environment = { TOKEN = ephemeral.tokend_token.calls.access_token, API = "`+w.api+`" }
  }
}
`, "tokend/tokend")
	ws.planAndApply(t)
	if n := w.journal(t, "endpoint=token"); n != before {
		t.Errorf("%d requests for tokens during the run", n-before)
	}
	if w.journal(t, "endpoint=resource&status=200") != 1 {
		t.Error("the API was not called")
	}
}

// TestSuppressed: a command's output is not shown if its configuration has a
// sensitive or ephemeral value, but all of it is shown if the command fails.
func TestSuppressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	const value = "not-a-secret-in-truth"
	for _, kind := range []string{"sensitive", "ephemeral", "sensitive, ephemeral"} {
		var marks strings.Builder
		for mark := range strings.SplitSeq(kind, ", ") {
			marks.WriteString("  " + mark + " = true\n")
		}
		for exit, all := range map[string]bool{"true": false, "false": true} {
			ws := w.workspace(t, "variable \"token\" {\n  type = string\n"+marks.String()+"}\n"+`
resource "terraform_data" "call" {
  provisioner "local-exec" {
    command     = "echo said $TOKEN; echo \"kept $TOKEN\" >call.log; `+exit+`"
    environment = { TOKEN = var.token }
  }
}
`)
			ws.env["TF_VAR_token"] = value
			out, err := ws.terraform(t, "apply", "-auto-approve", "-no-color", "-input=false")
			if (err != nil) != all || strings.Contains(out, "said "+value) != all {
				t.Errorf("%s, %s: %v\n%s", kind, exit, err, out)
			}
			mark := kind
			if openTofu() {
				mark = kind[strings.LastIndexByte(kind, ' ')+1:] // it names one of two
			}
			if !strings.Contains(out, "(output suppressed due to "+mark+" value in config)") {
				t.Errorf("%s: is not suppressed:\n%s", kind, out)
			}
			if b, err := os.ReadFile(filepath.Join(ws.dir, "call.log")); err != nil || string(b) != "kept "+value+"\n" {
				t.Errorf("the file has %q, %v", b, err)
			}
		}
	}
}
