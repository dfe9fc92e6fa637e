package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kelseyhightower/envconfig"

	"example.com/tokend/pkg/flow"
)

const (
	canaryFresh  = "canary-refresh-token"
	canarySecret = "canary-client-secret"
	canaryKey    = "canary-api-key-0123456789"
)

// environ is an environment of "NAME=value" variables; a later one wins.
func environ(t testing.TB, variables ...string) Environment {
	set := map[string]string{}
	for _, kv := range variables {
		name, value, _ := strings.Cut(kv, "=")
		set[name] = value
	}
	return Environment{
		Lookup: func(name string) (string, bool) { value, ok := set[name]; return value, ok },
		Environ: func() []string {
			var list []string
			for _, name := range slices.Sorted(maps.Keys(set)) {
				list = append(list, name+"="+set[name])
			}
			return list
		},
		Process: func(prefix string, spec any) error { // envconfig reads those of the process
			for name, value := range set {
				if strings.HasPrefix(name, "TOKEND_") {
					t.Setenv(name, value)
					defer func() { _ = os.Unsetenv(name) }() // t puts back what was there
				}
			}
			return envconfig.Process(prefix, spec)
		},
	}
}

// a home with a configuration file, unless that is "".
func homeWith(t testing.TB, file string) (home, path string) {
	t.Helper()
	home = t.TempDir()
	path = filepath.Join(home, ".config", "tokend", "tokend.yaml")
	if file != "" {
		write(t, path, file, 0o600)
	}
	return home, path
}

// loadAt loads the configuration of a home.
func loadAt(t testing.TB, home string, variables ...string) (Config, Faults) {
	t.Helper()
	env := environ(t, append([]string{"HOME=" + home}, variables...)...)
	return Load(env, DefaultPaths(env))
}

// mustLoad loads a valid configuration.
func mustLoad(t testing.TB, file string, variables ...string) Config {
	t.Helper()
	home, _ := homeWith(t, file)
	c, faults := loadAt(t, home, variables...)
	if faults != nil {
		t.Fatal(faults)
	}
	return c
}

func write(t testing.TB, path, text string, perm os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

// noCanary fails if a secret is in the faults.
func noCanary(t *testing.T, faults Faults) {
	t.Helper()
	for _, c := range []string{canaryFresh, canarySecret, canaryKey, canaryPassword, canaryRequest, "CANARY"} {
		if strings.Contains(faults.Error(), c) {
			t.Errorf("the faults hold %q:\n%v", c, faults)
		}
	}
}

// lacking returns the texts that no fault has.
func lacking(faults Faults, want ...string) []string {
	text := faults.Error()
	return slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(text, w) })
}

// secretNow returns the client secret that the client would read now.
func secretNow(t *testing.T, c Client) flow.Secret {
	t.Helper()
	if c.ClientSecretFrom == nil {
		return c.ClientSecret
	}
	s, err := c.ClientSecretFrom(t.Context())
	if err != nil || c.ClientSecret != "" {
		t.Fatal(err)
	}
	return s
}
