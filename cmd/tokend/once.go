package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"example.com/tokend/internal/daemon"
	"example.com/tokend/internal/tokenfile"
	"example.com/tokend/pkg/flow"
)

// serveOnce gets a token for every client, with a login if that needs no person, and
// writes the files. It does not listen. The error names every client without a token and
// every file that was not written.
func (p *program) serveOnce(ctx context.Context, s settings) (err error) {
	log := s.logger(p.stderr)
	grants, err := s.openStore(ctx)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	defer func() {
		if cerr := grants.Close(); err == nil {
			err = cerr
		}
	}()
	for _, cl := range s.Clients {
		for i := range cl.Files {
			cl.Files[i].HookAlways = true // a failed hook may be the reason for this start
		}
	}
	trail, err := s.openAudit(log)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, trail.Close()) }()
	ps := providers{}
	defer ps.close()
	clients, files, err := s.keepAlone(ps, grants, trail, log)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running, asking sync.WaitGroup
	for _, cl := range clients {
		running.Go(func() { _ = cl.Run(keeping) }) // its only error is the context's
	}
	failed := make([]error, len(clients)+len(files))
	for i, cl := range clients {
		asking.Go(func() { failed[i] = tokenOnce(ctx, cl) })
	}
	asking.Wait()
	for i, f := range files {
		failed[len(clients)+i] = fileOnce(ctx, f)
	}
	stop()
	running.Wait()
	return together(failed)
}

func tokenOnce(ctx context.Context, cl daemon.Client) error {
	_, err := cl.Get(ctx, flow.Request{})
	return withoutToken(cl.Name(), err)
}

// withoutToken returns the error of a client without a token.
func withoutToken(name string, err error) error {
	var e *flow.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := e.Hint
	if e.Class == flow.ClassLoginRequired && e.Remedy != flow.RemedySetting {
		hint = loginFirst(name)
	}
	return &exitError{code: codeOfClass(e.Class), reason: string(e.Class), hint: hint, err: fmt.Errorf("client %s: %s", name, e.Message())}
}

// loginFirst returns the hint when no service runs at which a person could log in.
func loginFirst(name string) string {
	return "run tokend serve and tokend login " + name + " --browser once: the grant stays in the store"
}

// fileOnce writes a file. A client without a token was reported already.
func fileOnce(ctx context.Context, f *tokenfile.File) error {
	err := f.Once(ctx)
	var e *flow.Error
	if err == nil || errors.As(err, &e) {
		return nil
	}
	return fileFailure(f.Status().Path, err)
}

func fileFailure(path string, err error) error {
	code := exitUnavailable
	if errors.Is(err, tokenfile.ErrRefused) {
		code = exitConfig
	}
	return exitf(code, "file %s: %w", path, err)
}

// together joins errors, one line each, with the most specific exit code.
func together(failed []error) error {
	var lines failures
	var codes []int
	for _, err := range failed {
		if err != nil {
			lines = append(lines, err)
			codes = append(codes, exitCode(exitWith(exitUnavailable, err)))
		}
	}
	if lines == nil {
		return nil
	}
	return &exitError{code: cmp.Or(worst(codes), codes[0]), err: lines}
}
