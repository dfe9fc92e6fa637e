package config

import (
	"fmt"
	"io/fs"
	"strings"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// ReadSecret reads a secret that other software made: the content of a file without
// surrounding space. It refuses a file that others may read or that belongs to another
// user; see [durable.ReadSecret].
func ReadSecret(path string) (flow.Secret, error) { return readSecret(path, durable.Others) }

// ReadOwnSecret reads a secret that tokend made for itself, which only its user may
// read.
func ReadOwnSecret(path string) (flow.Secret, error) { return readSecret(path, durable.Private) }

func readSecret(path string, forbidden fs.FileMode) (flow.Secret, error) {
	b, err := durable.ReadSecret(path, forbidden)
	if err != nil {
		return "", fmt.Errorf("secret file %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", hint.Errorf("put the secret into it", "secret file %s is empty", path)
	}
	return flow.Secret(s), nil
}

// secretOf returns a secret from a value, a file, or else the systemd credential of the
// setting's variable. Without any of them there is no secret and no fault. Faults call
// it name, after prefix.
func (l *loader) secretOf(setting, prefix, name, value, file string) flow.Secret {
	if value != "" && file != "" {
		l.add(setting, "set one of them", "%sboth %s and %s are set", prefix, name, fileVariant(name))
		return ""
	}
	if value != "" {
		return flow.Secret(value)
	}
	given := file != ""
	if variable := variableOfSetting(setting); !given && variable != "" {
		file = l.env.credential(variable)
	}
	if file == "" {
		return ""
	}
	if s, ok := l.secrets[file]; ok { // of another client: 100,000 may share a file
		return s
	}
	s, err := ReadSecret(file)
	if err != nil {
		if given {
			name, setting = fileVariant(name), setting+"_file"
		}
		l.add(setting, hint.Of(err), "%s%s: %v", prefix, name, err)
		return ""
	}
	if l.secrets == nil {
		l.secrets = map[string]flow.Secret{}
	}
	l.secrets[file] = s
	return s
}

// fileVariant returns the name of the setting for a secret's file, as a variable or a
// key.
func fileVariant(name string) string {
	if strings.ToUpper(name) == name {
		return name + "_FILE"
	}
	return name + "_file"
}
