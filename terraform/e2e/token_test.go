package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// providers is the head of a configuration.
func providers(sources ...string) string {
	var b strings.Builder
	b.WriteString("terraform {\n  required_providers {\n")
	for _, s := range sources {
		fmt.Fprintf(&b, "    %s = { source = %q }\n", filepath.Base(s), s)
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// intoAll takes an ephemeral token everywhere that Terraform lets one: into a
// provider's configuration, a provisioner, a local value and the functions.
func intoAll(api string) string {
	return providers("tokend/tokend", "example/calls") + fmt.Sprintf(`
ephemeral "tokend_token" "calls" {
  client       = "demo"
  min_validity = "30m"
}
locals {
  header = "Authorization: ${ephemeral.tokend_token.calls.authorization_header}"
}
provider "calls" {
  base_url = %[1]q
  token    = ephemeral.tokend_token.calls.access_token
}
resource "calls_call" "one" {
  path = "/one"
  lifecycle {
    precondition {
      condition     = provider::tokend::jwt_claims(ephemeral.tokend_token.calls.access_token).azp == "demo" && timecmp(provider::tokend::jwt_expiry(ephemeral.tokend_token.calls.access_token), ephemeral.tokend_token.calls.expires_at) == 0
      error_message = "Not the token of demo."
    }
  }
}
resource "terraform_data" "two" {
  provisioner "local-exec" {
    command     = "printf %%s \"$HEADER\" | curl -sS --fail --noproxy '*' -H @- -o two.json %[1]s/two"
    environment = { HEADER = local.header }
  }
}
data "tokend_client" "demo" {
  client = "demo"
}
output "state" {
  value = data.tokend_client.demo.state
}
`, api)
}

// TestTokenNowhere: the token of an ephemeral resource is used at two places
// and found at none; nor is tokend's key, nor the address of a login.
func TestTokenNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	ws := w.workspace(t, intoAll(w.api), "tokend/tokend", "example/calls")
	secrets := []string{w.command(t, "token", "demo"), w.key(t)}
	a := ws.planAndApply(t)
	if two := read(t, filepath.Join(ws.dir, "two.json")); !strings.Contains(two, `"path":"two"`) {
		t.Errorf("the provisioner's call got %q", two)
	}
	if !strings.Contains(a.state, `\"path\":\"one\"`) {
		t.Errorf("the provider's call is not in the state:\n%s", a.state)
	}
	if !strings.Contains(a.show, `"ready"`) || strings.Contains(a.show, "authorize") {
		t.Errorf("the client's state is not there, or a login's address is:\n%s", a.show)
	}
	for name, text := range map[string]string{"state": a.state, "plan": a.plan, "show -json": a.show, "TRACE log": a.trace, "output": ws.shown} {
		if hits(text, secrets...) {
			t.Errorf("%s has a secret", name)
		}
	}
}

// TestSearchFinds: the same search finds the token where it is: in the messages
// that providers write for their developers, and in every artefact once it goes
// through an ordinary value.
func TestSearchFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, nil)
	ws := w.workspace(t, intoAll(w.api), "tokend/tokend", "example/calls")
	messages := filepath.Join(ws.dir, "messages")
	if err := os.Mkdir(messages, 0o700); err != nil {
		t.Fatal(err)
	}
	ws.env["TF_LOG_SDK_PROTO_DATA_DIR"] = messages
	a := ws.planAndApply(t)
	if hits(a.state) || hits(a.plan) || hits(a.show) || hits(a.trace) {
		t.Error("the token is in an artefact")
	}
	if !hits(files(t, messages)) {
		t.Error("the token is not in the messages: the search finds nothing")
	}

	plain := w.workspace(t, "variable \"token\" {\n  type = string\n  sensitive = true\n}\nresource \"terraform_data\" \"it\" {\n  input = var.token\n}\n")
	plain.env["TF_VAR_token"] = w.command(t, "token", "demo")
	a = plain.planAndApply(t)
	if !hits(a.state) || !hits(a.plan) || !hits(a.show) {
		t.Errorf("a token in state %t, plan %t, show %t: the search finds nothing", hits(a.state), hits(a.plan), hits(a.show))
	}
}
