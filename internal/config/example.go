package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
)

// example is a configuration file with every setting, most of them commented out.
// It is generated from the schemas.
//
//go:embed example.yaml
var example []byte

// WriteExample writes a configuration file to fill in, for its user alone. One that
// is there stays.
func WriteExample(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("%s cannot be made: %w", filepath.Dir(path), durable.Cause(err))
	}
	err := durable.Create(path, 0o600, example)
	if errors.Is(err, fs.ErrExist) {
		return hint.Errorf("name another path, or move it away", "%s exists already", path)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, durable.Cause(err))
	}
	return nil
}
