package config

import (
	"fmt"
	"io/fs"
	"strings"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// ReadSecret reads a secret that came from elsewhere: a file's content without
// surrounding space. The file is refused when others may read it or it is another
// user's; see [durable.ReadSecret].
func ReadSecret(path string) (flow.Secret, error) { return readSecret(path, durable.Others) }

// ReadOwnSecret reads a secret that tokend has made for itself, which only its
// user may read.
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

// secretOf returns a secret that comes as a value, as a file, or else as the
// credential of the setting's variable. Without any of them there is no secret and no fault. name is
// what a fault calls it, after prefix.
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
	s, err := ReadSecret(file)
	if err != nil {
		if given {
			name, setting = fileVariant(name), setting+"_file"
		}
		l.add(setting, hint.Of(err), "%s%s: %v", prefix, name, err)
	}
	return s
}

// fileVariant is the name of what gives a secret's file, in a variable's or a
// key's spelling.
func fileVariant(name string) string {
	if strings.ToUpper(name) == name {
		return name + "_FILE"
	}
	return name + "_file"
}
