package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// maxSecret bounds a secret file, in bytes.
const maxSecret = 64 << 10

// ReadSecret reads a secret file: its content without surrounding space. It is
// an error when there is none, or others may read it.
func ReadSecret(path string) (flow.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read
	fi, err := f.Stat()
	if err != nil {
		return "", unreadable(path, err)
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("secret file %s is not a regular file", path)
	}
	if perm := fi.Mode().Perm(); perm&0o007 != 0 {
		return "", hint.Errorf("chmod 600 "+path, "secret file %s is open to everyone (mode %#o)", path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", unreadable(path, err)
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("secret file %s is larger than 64 KiB", path)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return flow.Secret(s), nil
}

func unreadable(path string, err error) error {
	return fmt.Errorf("secret file %s cannot be read: %w", path, reason(err))
}

// reason takes operation and path off an error that is told with its path.
func reason(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// secretOf returns a secret that comes as a value, as a file, or else as the
// credential of the setting's variable. All empty is no secret and no fault. name is
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
		l.add(setting, cmp.Or(hint.Of(err), secretHint), "%s%s: %v", prefix, name, err)
	}
	return s
}

// secretHint is what helps against an error of ReadSecret without a hint.
const secretHint = "name a file that holds the secret alone and that the user of the service can read"

// fileVariant is the name of what gives a secret's file, in a variable's or a
// key's spelling.
func fileVariant(name string) string {
	if strings.ToUpper(name) == name {
		return name + "_FILE"
	}
	return name + "_file"
}
