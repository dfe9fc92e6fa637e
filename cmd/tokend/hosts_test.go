package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestGitCredential(t *testing.T) {
	clean(t)
	newStub(t)
	var b strings.Builder
	git := func(client, operation, stdin string) output {
		return transcript(t, &b, in(stdin), "token", client, "--format", "git-credential", operation)
	}
	git("demo", "get", "protocol=https\nhost=git.example.com\n\n")
	git("demo", "get", "protocol=https\nhost=GIT.example.com:443\npath=a/b.git\nusername=grace\nfuture=1\n")
	git("demo", "get", "protocol=https\nhost=registry.example.com\n")
	git("demo", "get", "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example.com\n")
	git("demo", "get", "capability[]=authtype\nprotocol=https\nhost=git.example.com\nwwwauth[]=Basic realm=\"git\"\n")
	git("demo", "get", "capability[]=authtype\nprotocol=https\nhost=git.example.com:8443\nwwwauth[]=Basic realm=\"git\"\nwwwauth[]=bearer\n")
	git("demo", "get", "protocol=http\nhost=localhost:5000\n")
	// No token for these.
	for _, stdin := range []string{
		"protocol=http\nhost=git.example.com\n", "protocol=https\nhost=evil.example\n", "protocol=https\nhost=git.example.com.evil.example\n",
		"protocol=https\nhost=sub.git.example.com\n", "protocol=https\nhost=git.example.com:444\n", "protocol=https\nhost=localhost\n",
		"protocol=http\nhost=localhost:5001\n", "protocol=ssh\nhost=git.example.com\n", "protocol=https\n", "host=git.example.com\n", "",
		"\nprotocol=https\nhost=git.example.com\n",
	} {
		if o := git("demo", "get", stdin); o.code == 0 || o.stdout != "" {
			t.Errorf("%q: %+v", stdin, o)
		}
	}
	if o := git("other", "get", "protocol=https\nhost=git.example.com\n"); o.code != 78 || o.stdout != "" {
		t.Errorf("a client without hosts: %+v", o)
	}
	for _, operation := range []string{"store", "erase", "capability"} {
		if o := git("demo", operation, "protocol=https\nhost=git.example.com\nusername=u\npassword="+canaryToken+"\n"); o != (output{}) {
			t.Errorf("%s: %+v", operation, o)
		}
	}
	golden(t, "format_git_credential", b.String())
}

func TestDockerCredential(t *testing.T) {
	clean(t)
	newStub(t)
	var b strings.Builder
	docker := func(operation, stdin string) output {
		p := in(stdin)
		p.name = "docker-credential-tokend"
		return transcript(t, &b, p, operation)
	}
	for _, server := range []string{"registry.example.com", "https://registry.example.com/v2/\n", "localhost:5000", "http://localhost:5000/v1/"} {
		o := docker("get", server)
		var got struct{ ServerURL, Username, Secret string }
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got.Secret != canaryToken || got.ServerURL != strings.TrimSpace(server) {
			t.Errorf("%q: %+v", server, o)
		}
	}
	docker("list", "")
	docker("erase", "registry.example.com")
	for _, c := range [][2]string{
		{"get", "evil.example"},
		{"get", "https://evil.example/v1/"},
		{"get", "registry.example.com:5000"},
		{"get", "twice.example.com"},
		{"get", "http://registry.example.com"},
		{"get", "registry.example.com@evil.example"},
		{"get", ""},
		{"get", "https://%zz"},
		{"store", `{"ServerURL":"registry.example.com","Username":"u","Secret":"` + canaryToken + `"}`},
		{"encrypt", ""},
	} {
		if o := docker(c[0], c[1]); o.code != 1 || o.stdout == "" || o.stderr != "" || strings.Contains(o.stdout, canaryToken) {
			t.Errorf("%q: %+v", c, o)
		}
	}
	if o := docker("get", "evil.example"); o.stdout != "credentials not found in native keychain\n" {
		t.Errorf("%+v", o)
	}
	// With a client's name: only for its hosts.
	named := func(client, stdin string) output {
		return transcript(t, &b, in(stdin), "token", client, "--format", "docker-credential", "get")
	}
	if o := named("demo", "registry.example.com"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	for _, c := range [][2]string{{"demo", "evil.example"}, {"other", "registry.example.com"}} {
		if o := named(c[0], c[1]); o.code != 1 || strings.Contains(o.stdout, canaryToken) {
			t.Errorf("%q: %+v", c, o)
		}
	}
	golden(t, "format_docker_credential", b.String())
}

func TestTerraformCredentials(t *testing.T) {
	clean(t)
	newStub(t)
	var b strings.Builder
	terraform := func(args ...string) output {
		p := in(`{"token":"` + canaryToken + `"}`)
		p.name = "terraform-credentials-tokend"
		return transcript(t, &b, p, args...)
	}
	for _, host := range []string{"git.example.com", "git.example.com:8443"} {
		if o := terraform("get", host); o.stdout != `{"token":"`+canaryToken+`"}`+"\n" {
			t.Errorf("%s: %+v", host, o)
		}
	}
	if o := terraform("get", "evil.example"); o != (output{stdout: "{}\n"}) {
		t.Errorf("an unknown host: %+v", o)
	}
	for _, args := range []string{"get twice.example.com", "store git.example.com", "forget git.example.com", "list git.example.com", "get"} {
		if o := terraform(strings.Fields(args)...); o.code == 0 || o.stdout != "" {
			t.Errorf("%s: %+v", args, o)
		}
	}
	golden(t, "format_terraform_credentials", b.String())
}

func TestHostEntries(t *testing.T) {
	clean(t)
	newTenant(t).configure(t)
	for entry, good := range map[string]bool{
		"git.example.com": true, "git.example.com:8443": true, "oauth2@git.example.com": true, "[::1]:8080": true, "localhost": true,
		"git.example.com,ada@b.example:1": true, "x_y.example": true,
		"https://git.example.com": false, "git.example.com/path": false, "*.example.com": false, ".example.com": false, "example.com.": false,
		"a b": false, "git.example.com:port": false, "@git.example.com": false, "a:b@git.example.com": false, "::1": false, "a,,b": false,
	} {
		t.Setenv("TOKEND_CLIENT_DEMO_HOSTS", entry)
		o := runTokend(t, "config", "check")
		if (o.code == 0) != good || !good && !strings.Contains(o.stderr, "is not a host; hint: such as git.example.com") {
			t.Errorf("%s: %+v", entry, o)
		}
	}
}

// The hosts of the configuration reach the client's state, and no other client's.
func TestHostsOfTheService(t *testing.T) {
	clean(t)
	newTenant(t).configure(t, "TOKEND_CLIENT_DEMO_GRANT=client_credentials", "TOKEND_CLIENT_DEMO_HOSTS=git.example.com, ada@registry.example.com")
	s := serve(t)
	p := in("registry.example.com")
	p.name = "docker-credential-tokend"
	if o := tokendWith(t, p, "get"); o.code != 0 || !strings.Contains(o.stdout, `"Username":"ada","Secret":"`+canaryToken+`"`) {
		t.Errorf("%+v\n%s", o, s.log)
	}
	p = in("protocol=https\nhost=git.example.com\n")
	if o := tokendWith(t, p, "token", "demo", "--format", "git-credential", "get"); !strings.HasPrefix(o.stdout, "username=oauth2\npassword="+canaryToken+"\npassword_expiry_utc=") {
		t.Errorf("%+v\n%s", o, s.log)
	}
	noCanary(t, "log", s.log.String())
}

// The error for a person who runs the helper without an operation says what it is.
func TestDockerHelperWithoutOperation(t *testing.T) {
	clean(t)
	for _, args := range [][]string{{}, {"get", "more"}} {
		o := tokendWith(t, program{name: "docker-credential-tokend", stdin: strings.NewReader("")}, args...)
		if o.code != 64 || o.stdout != "" || !strings.Contains(o.stderr, "takes one operation") || !strings.Contains(o.stderr, "get, store, erase or list\nhint: Docker runs it") {
			t.Errorf("%q: %+v", args, o)
		}
	}
}
