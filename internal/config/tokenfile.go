package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"

	"example.com/tokend/internal/hint"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// readFiles adds each file of the configuration to its client. Clients already have
// the files of their own settings.
func (l *loader) readFiles(s *Config, list []tokenFileSchema) {
	for i, c := range list {
		at := fmt.Sprintf("files[%d]", i)
		validity, ok := duration(c.MinValidity)
		if !ok {
			l.add(at+".min_validity", durationHint, "client %s: files.min_validity %q is not a duration", c.Client, c.MinValidity)
		}
		file := tokenfile.Config{Path: c.Path, Format: c.Format, Hook: c.Hook, MinValidity: validity}
		var err error
		if file.Mode, err = ParseMode(c.Mode); err != nil {
			l.add(at+".mode", `such as "0600"`, "file %s: %v", c.Path, err)
		}
		known := false
		for i := range s.Clients {
			if s.Clients[i].Name == c.Client {
				s.Clients[i].Files = append(s.Clients[i].Files, file)
				known = true
			}
		}
		if !known {
			l.add(at+".client", "name a client of the configuration", "file %s names the unknown client %q", c.Path, c.Client)
		}
	}
	paths := map[string]bool{}
	for _, cl := range s.Clients {
		for i := range cl.Files {
			l.checkFile(cl, &cl.Files[i], paths)
		}
	}
}

// checkFile completes a file and reports what is wrong with it.
func (l *loader) checkFile(cl Client, c *tokenfile.Config, paths map[string]bool) {
	c.Variables, c.HookEnv = cl.Env, HookEnvironment(l.env.Environ())
	if c.Variables == nil {
		c.Variables = []string{DefaultVariable(cl.Name)}
	}
	if paths[c.Path] {
		l.add("files", "give each file a path of its own", "duplicate file %s", c.Path)
	}
	paths[c.Path] = true
	if len(c.Hook) > 0 {
		if _, err := exec.LookPath(c.Hook[0]); err != nil {
			l.add("files", "name a program and its arguments as a list", "hook of file %s: %v", c.Path, err)
		}
	}
	if _, err := tokenfile.New(*c, NoToken(cl.Name)); err != nil {
		for _, one := range each(err) {
			l.add("files", hint.Of(one), "file of client %s: %v", cl.Name, one)
		}
	}
}

// ParseMode reads permissions in octal; "" is the default.
func ParseMode(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	m, err := strconv.ParseUint(text, 8, 32)
	if err != nil || m == 0 || m > 0o777 {
		return 0, fmt.Errorf("mode %q is not an octal mode", text)
	}
	return fs.FileMode(m), nil
}

// NoToken is a source for checking a token file: it has a client's name and no token.
type NoToken string

// Name returns the client's name.
func (n NoToken) Name() string { return string(n) }

// Get returns an error.
func (n NoToken) Get(context.Context, flow.Request) (*flow.Token, error) {
	return nil, errors.New("no source")
}

// each returns the errors that err joins, or err alone.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // of the error itself
		return joined.Unwrap()
	}
	return []error{err}
}
