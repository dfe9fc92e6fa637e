package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/tokend/internal/tokenfile"
)

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

// replace runs these files and no others. It does not wait: a file starts after another
// one with the same path has ended.
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

// end prevents further files from starting.
func (k *fileKeeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
}

// around runs the service and the files. The files end first, because they use the
// clients, which end with the service.
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
