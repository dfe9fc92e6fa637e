package consumers

import (
	"strings"
	"testing"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
)

// TestDocker: the client of Docker's own credential helpers, as in docker and
// compose.
func TestDocker(t *testing.T) {
	s := start(t, "registry.example.com", "ada@localhost:5000")
	t.Setenv("PATH", bin)
	env := map[string]string{}
	for _, kv := range s.env {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	helper := client.NewShellProgramFuncWithEnv("docker-credential-tokend", &env)
	for server, user := range map[string]string{"registry.example.com": "oauth2", "https://registry.example.com": "oauth2", "localhost:5000": "ada"} {
		c, err := client.Get(helper, server)
		if err != nil || c.Username != user || c.Secret != s.token(t) || c.ServerURL != server {
			t.Errorf("%s: user %q, %v", server, c.Username, err)
		}
	}
	if _, err := client.Get(helper, "evil.example"); !credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("a host that is not listed: %v", err)
	}
	list, err := client.List(helper)
	if err != nil || len(list) != 2 || list["localhost:5000"] != "ada" || list["registry.example.com"] != "oauth2" {
		t.Errorf("%v, %v", list, err)
	}
	if err := client.Erase(helper, "registry.example.com"); err != nil {
		t.Errorf("erase: %v", err)
	}
	err = client.Store(helper, &credentials.Credentials{ServerURL: "registry.example.com", Username: "u", Secret: "p"})
	if err == nil || !strings.Contains(err.Error(), "tokend keeps no password for Docker") {
		t.Errorf("store: %v", err)
	}
	env["TOKEND_ADDR"], env["TOKEND_API_KEY"] = s.addr, "wrong-wrong-wrong-wrong"
	if _, err := client.Get(helper, "registry.example.com"); err == nil || credentials.IsErrCredentialsNotFound(err) || !strings.Contains(err.Error(), "unauthorized") {
		t.Errorf("a wrong key: %v", err)
	}
}
