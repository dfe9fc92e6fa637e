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

// WriteExample writes a configuration file to fill in, for its user alone. It does not
// replace a file.
func WriteExample(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot create %s: %w", filepath.Dir(path), durable.Cause(err))
	}
	err := durable.Create(path, 0o600, example)
	if errors.Is(err, fs.ErrExist) {
		return hint.Errorf("choose another path, or move the file away", "%s exists already", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, durable.Cause(err))
	}
	return nil
}
