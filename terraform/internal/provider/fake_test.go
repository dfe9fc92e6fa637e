package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// key and accessToken may be in no output.
const (
	key         = "caller-key-of-the-tests"
	accessToken = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhdXRoMHwxIn0.c2lnbmF0dXJl"
)

// fake is a tokend with configured answers.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]string // by path: "STATUS BODY", one after the other, the last one again and again
	seen    []*http.Request
}

func newFake(t *testing.T, answers map[string][]string) *fake {
	t.Helper()
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
	list := f.answers[r.URL.Path]
	if len(list) == 0 {
		list = []string{`404 {"error":"not_found","error_description":"there is no such path"}`}
	}
	if len(list) > 1 {
		f.answers[r.URL.Path] = list[1:]
	}
	status, body, _ := strings.Cut(list[0], " ")
	if target, ok := strings.CutPrefix(body, "Location: "); ok {
		w.Header().Set("Location", target)
	}
	w.Header().Set("Content-Type", "application/json")
	var code int
	_, _ = fmt.Sscan(status, &code)
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body))
}

// requests are those for a path, as "RAWQUERY".
func (f *fake) requests(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var queries []string
	for _, r := range f.seen {
		if r.URL.Path == path {
			queries = append(queries, r.URL.RawQuery)
		}
	}
	return queries
}

// goodToken is a token answer with an hour left.
func goodToken() string {
	return `200 {"access_token":"` + accessToken + `","token_type":"Bearer","expires_in":3600,"expires_at":"2026-01-02T03:04:05Z",` +
		`"scope":"openid","audience":"https://api.example.com/","client":"demo","min_validity_satisfied":true}`
}

// setting is the environment of a test's provider.
type setting struct {
	env  map[string]string
	wait func(context.Context, time.Duration) error
}

// factories serve the provider inside the test, and the echo provider, which
// shows in the state what an ephemeral resource holds.
func (s setting) factories() map[string]func() (tfprotov6.ProviderServer, error) {
	p := &tokend{version: "test", getenv: func(name string) string { return s.env[name] }, wait: s.wait}
	return map[string]func() (tfprotov6.ProviderServer, error){
		"tokend": providerserver.NewProtocol6WithError(p),
		"echo":   echoprovider.NewProviderServer(),
	}
}

// run runs the steps with the terraform on the PATH.
func (s setting) run(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: s.factories(), Steps: steps})
}

// terraform skips the test by name where there is no terraform; CI must have it.
func terraform(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err == nil {
		t.Setenv("TF_ACC_TERRAFORM_PATH", path) // else it could be downloaded
		t.Setenv("TF_CLI_CONFIG_FILE", os.DevNull)
		t.Setenv("CHECKPOINT_DISABLE", "1")
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("terraform is missing, and CI must not skip\nhint: install Terraform 1.11 or later and put it on the PATH")
	}
	t.Skip("terraform is missing\nhint: install Terraform 1.11 or later and put it on the PATH")
	return ""
}
