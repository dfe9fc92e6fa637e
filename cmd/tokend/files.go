package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// tokenFileConfig is one of "files" in the configuration.
type tokenFileConfig struct {
	Client      string   `yaml:"client"`
	Path        string   `yaml:"path"`
	Format      string   `yaml:"format"`
	Mode        string   `yaml:"mode"` // octal, as for chmod
	MinValidity string   `yaml:"min_validity"`
	Hook        []string `yaml:"hook"`
}

// readFiles gives each file of the configuration to its client. The files that
// the clients' own settings name are there already.
func (s *settings) readFiles(list []tokenFileConfig, f *faults) {
	for _, c := range list {
		r := clientReader{name: c.Client, faults: f}
		file := tokenfile.Config{Path: c.Path, Format: c.Format, Hook: c.Hook, MinValidity: r.duration("files.min_validity", c.MinValidity)}
		file.Mode = readMode(c.Mode, func(text string) { f.add("such as \"0600\"", "file %s: %s", c.Path, text) })
		known := false
		for i := range s.clients {
			if s.clients[i].Name == c.Client {
				s.clients[i].files = append(s.clients[i].files, file)
				known = true
			}
		}
		if !known {
			f.add("name a client of the configuration", "file %s is of the unknown client %q", c.Path, c.Client)
		}
	}
	paths := map[string]bool{}
	for _, cl := range s.clients {
		for i := range cl.files {
			s.checkFile(cl, &cl.files[i], paths, f)
		}
	}
}

// checkFile completes a file and reports what is wrong with it.
func (s *settings) checkFile(cl clientSettings, c *tokenfile.Config, paths map[string]bool, f *faults) {
	c.Variables, c.HookEnv = cl.env, hookEnv(os.Environ())
	if c.Variables == nil {
		c.Variables = []string{defaultVariable(cl.Name)}
	}
	if paths[c.Path] {
		f.add("give each file a path of its own", "file %s is there twice", c.Path)
	}
	paths[c.Path] = true
	if len(c.Hook) > 0 {
		if _, err := exec.LookPath(c.Hook[0]); err != nil {
			f.add("give the path of a program and its arguments, a word each", "hook of file %s: %v", c.Path, err)
		}
	}
	if _, err := tokenfile.New(*c, nameOnly(cl.Name)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			f.add("", "file of client %s: %s", cl.Name, line)
		}
	}
}

// readMode reads permissions in octal; "" is the default.
func readMode(text string, fault func(string)) fs.FileMode {
	if text == "" {
		return 0
	}
	m, err := strconv.ParseUint(text, 8, 32)
	if err != nil || m == 0 || m > 0o777 {
		fault("mode " + strconv.Quote(text) + " is not a mode in octal")
		return 0
	}
	return fs.FileMode(m)
}

// nameOnly is a source for a check.
type nameOnly string

func (n nameOnly) Name() string { return string(n) }
func (n nameOnly) Get(context.Context, flow.Request) (*flow.Token, error) {
	return nil, errors.New("no source")
}

// hookEnv is what a hook sees of the environment: no setting of tokend, as
// there are secrets among them.
func hookEnv(environ []string) []string {
	env := []string{}
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "TOKEND_") {
			env = append(env, kv)
		}
	}
	return env
}

// clientFiles are the files of one client.
type clientFiles struct{ files []*tokenfile.File }

func (c *clientFiles) open(configs []tokenfile.Config, source tokenfile.Source, log *slog.Logger) error {
	for _, cfg := range configs {
		cfg.Log = log
		f, err := tokenfile.New(cfg, source)
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
	}
	return nil
}

// changed tells the files that the client has changed.
func (c *clientFiles) changed() {
	for _, f := range c.files {
		f.Wake()
	}
}

func (c *clientFiles) status() []daemon.FileStatus {
	var list []daemon.FileStatus
	for _, f := range c.files {
		s := f.Status()
		list = append(list, daemon.FileStatus{Path: s.Path, Written: s.Written, Expiry: s.Expiry, Failure: s.Failure})
	}
	return list
}

// fileKeeper keeps the files of all clients.
type fileKeeper []*tokenfile.File

// around runs the service and keeps the files meanwhile. The files end first:
// they ask the clients, which the service waits for.
func (k fileKeeper) around(ctx context.Context, service func(context.Context) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		var all sync.WaitGroup
		for _, f := range k {
			all.Go(func() { f.Run(ctx) })
		}
		<-ctx.Done()
		all.Wait()
		return nil
	})
	group.Go(func() error {
		if err := service(serving); err != nil {
			return err
		}
		return context.Canceled // so that the files end in any case
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
