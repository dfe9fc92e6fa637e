package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/hint"
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
		for _, one := range each(err) {
			f.add(hint.Of(one), "file of client %s: %v", cl.Name, one)
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

// fileKeeper runs the token files of all clients.
type fileKeeper struct {
	mu      sync.Mutex
	ctx     context.Context // of the files; nil before around
	files   []*tokenfile.File
	ended   bool
	running map[*tokenfile.File]runningFile
	paths   map[string]<-chan struct{} // by path, closed when the last file there has ended
	all     sync.WaitGroup
}

type runningFile struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func newFileKeeper(files []*tokenfile.File) *fileKeeper {
	return &fileKeeper{files: files, running: map[*tokenfile.File]runningFile{}, paths: map[string]<-chan struct{}{}}
}

// replace runs these files and no others. It does not wait: a file whose path
// another one still writes to begins after that one has ended.
func (k *fileKeeper) replace(files []*tokenfile.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files = files
	if k.ctx == nil || k.ended {
		return
	}
	for f, r := range k.running {
		if !slices.Contains(files, f) {
			r.cancel()
			delete(k.running, f)
		}
	}
	for _, f := range files {
		if _, runs := k.running[f]; !runs {
			k.start(f)
		}
	}
}

// start runs a file; mu is held.
func (k *fileKeeper) start(f *tokenfile.File) {
	path := f.Status().Path
	before := k.paths[path]
	ctx, cancel := context.WithCancel(k.ctx)
	r := runningFile{cancel: cancel, ended: make(chan struct{})}
	k.running[f], k.paths[path] = r, r.ended
	k.all.Go(func() {
		defer close(r.ended)
		if before != nil {
			<-before
		}
		f.Run(ctx)
	})
}

// end keeps further files from being started.
func (k *fileKeeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
}

// around runs the service and the files. The files end first: they ask the
// clients, which the service waits for.
func (k *fileKeeper) around(ctx context.Context, service func(context.Context) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	k.mu.Lock()
	k.ctx = ctx
	for _, f := range k.files {
		k.start(f)
	}
	k.mu.Unlock()
	group.Go(func() error {
		defer stop()
		<-ctx.Done()
		k.end()
		k.all.Wait()
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
