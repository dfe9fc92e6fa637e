package main

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/tokend/internal/format"
)

// moving matches the parts of an answer that differ from run to run.
var moving = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`/authorize\?[^ "\n]+`), "/authorize?QUERY"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\b\d{10}\b`), "UNIX"},
	{regexp.MustCompile(`\b(86400|863[5-9]\d)\b`), "86400"},
	{regexp.MustCompile(`24h0m0s|23h59m5\ds`), "24h0m0s"},
}

func still(s string) string {
	for _, m := range moving {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return s
}

// failing is a service with a client for each failure: "new" has no grant,
// the tenant of "down" is down, that of "broken" answers with a line break in
// the token; "ci" works.
func failing(t *testing.T) *served {
	f, down, broken := newTenant(t), newTenant(t), newTenant(t)
	down.Close()
	broken.mu.Lock()
	broken.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "canary\naccess-token", "token_type": "Bearer", "expires_in": 60})
	}
	broken.mu.Unlock()
	setenv(t, "TOKEND_CLIENTS=new,ci,down,broken")
	for name, url := range map[string]string{"NEW": f.URL, "CI": f.URL, "DOWN": down.URL, "BROKEN": broken.URL} {
		p := "TOKEND_CLIENT_" + name + "_"
		setenv(t, p+"ISSUER="+url+"/", p+"CLIENT_ID=demo", p+"CLIENT_SECRET="+canarySecret, p+"GRANT=client_credentials",
			p+"HOSTS="+strings.ToLower(name)+".example.com")
	}
	setenv(t, "TOKEND_CLIENT_NEW_GRANT=authorization_code")
	return serve(t)
}

// refused is an address without a listener.
func refused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String()
}

// TestFailures: each format with each failure. Standard output is empty, unless
// the protocol reports the failure there.
func TestFailures(t *testing.T) {
	clean(t)
	s := failing(t)
	dir := t.TempDir()
	setenv(t, "GITHUB_OUTPUT="+dir+"/output")
	up, odd := "TOKEND_ADDR=http://"+s.tcp, newStub(t)
	odd.token, odd.hosts = "canary\naccess-token", `["demo.example.com"]`
	failures := []struct {
		what, client string
		env          []string
		args         []string
	}{
		{"service down", "ci", []string{"TOKEND_ADDR=" + refused(t)}, nil},
		{"wrong key", "ci", []string{up, "TOKEND_API_KEY=wrong-wrong-wrong-wrong"}, nil},
		{"unknown client", "missing", []string{up}, nil},
		{"login required", "new", []string{up}, nil},
		{"provider down", "down", []string{up}, nil},
		{"line break in the provider's token", "broken", []string{up}, nil},
		{"line break in the service's token", "demo", []string{"TOKEND_ADDR=" + odd.URL}, nil},
		{"min-validity beyond the provider's", "ci", []string{up}, []string{"--min-validity", "48h"}},
	}
	for _, name := range append(format.Names(), slices.Sorted(maps.Keys(format.Helpers()))...) {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for _, f := range failures {
				setenv(t, append([]string{"TOKEND_API_KEY="}, f.env...)...)
				p, args := request(name, f.client)
				if args[0] == "token" {
					args = append(args, f.args...)
				}
				b.WriteString("# " + f.what + "\n")
				o := transcript(t, &b, p, args...)
				protocol := strings.HasPrefix(name, "docker-") || name == "gcp-executable"
				if o.code != 0 && o.stdout != "" && !protocol {
					t.Errorf("%s: exit %d with stdout %q", f.what, o.code, o.stdout)
				}
				if strings.Count(o.stdout, canaryToken) > 1 || strings.Contains(o.stderr, "canary") {
					t.Errorf("%s: the token is printed twice, or on stderr: %+v", f.what, o)
				}
			}
			golden(t, "failures_"+strings.ReplaceAll(name, "-", "_"), still(b.String()))
		})
	}
	noCanary(t, "log", s.log.String())
}

// request returns a consumer's request for a client's token.
func request(form, client string) (program, []string) {
	host := client + ".example.com"
	switch form {
	case "docker-credential-tokend":
		p := in(host)
		p.name = form
		return p, []string{"get"}
	case "git-credential-tokend":
		p := in("protocol=https\nhost=" + host + "\n")
		p.name = form
		return p, []string{"get"}
	case "terraform-credentials":
		return in(""), []string{"token", "--format", form, "get", host}
	case "terraform-credentials-tokend":
		p := in("")
		p.name = form
		return p, []string{"get", host}
	}
	args := []string{"token", client, "--format", form}
	switch form {
	case "git-credential":
		return in("protocol=https\nhost=" + host + "\n"), append(args, "get")
	case "docker-credential":
		return in(host), append(args, "get")
	}
	return in(""), args
}
