package config

import (
	"bytes"
	"cmp"

	"github.com/goccy/go-yaml"
)

// Locate returns a lookup of variables for a command that connects to the service:
// TOKEND_LISTEN, TOKEND_SOCKET and TOKEND_API_KEY_FILE default to the values of the
// configuration file. It reads nothing else of the file, which may have thousands of
// clients, and ignores a file that cannot be read, such as another user's.
func Locate(env Environment, paths Paths) func(name string) string {
	var file map[string]string
	return func(name string) string {
		value, set := env.Lookup(name)
		setting := map[string]string{"TOKEND_LISTEN": "listen", "TOKEND_SOCKET": "socket", "TOKEND_API_KEY_FILE": "api_key_file"}[name] //nolint:gosec // names of settings, no secrets
		if set || setting == "" || setting == "api_key_file" && env.Get("TOKEND_API_KEY") != "" {
			return value
		}
		if file == nil {
			file = places(FilePath(env, paths))
		}
		return file[setting]
	}
}

// FilePath returns the configuration file: the one that TOKEND_CONFIG names, or the
// default.
func FilePath(env Environment, paths Paths) string {
	return cmp.Or(env.Get("TOKEND_CONFIG"), paths.Config)
}

// places reads the settings of the file that say where the service is.
func places(path string) map[string]string {
	found := map[string]string{}
	b, _, err := readConfig(path)
	if err != nil {
		return found
	}
	var lines [][]byte
	for line := range bytes.Lines(b) {
		for _, key := range []string{"listen", "socket", "api_key_file"} {
			if rest, ok := bytes.CutPrefix(line, []byte(key)); ok && bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":")) {
				lines = append(lines, line)
			}
		}
	}
	if yaml.Unmarshal(bytes.Join(lines, nil), &found) != nil {
		return map[string]string{} // serve reports what is wrong
	}
	return found
}
