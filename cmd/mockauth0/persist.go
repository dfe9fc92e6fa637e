package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/tenantfile"
	"example.com/tokend/pkg/mock"
)

const (
	persistDelay = 200 * time.Millisecond // from a change to its file, for the changes that come together
	persistRetry = 5 * time.Second        // after a file that could not be written
)

// persister keeps the objects of a tenant in a file.
type persister struct {
	path    string
	tenant  *mock.Tenant
	changes <-chan struct{}
	stderr  io.Writer
	last    []byte // the objects in the file, as text writes them
	written []byte // what the file has unless another process or a person has changed it; nil: not known yet
}

// errChanged is that the file has changes that write would lose.
var errChanged = errors.New("another process or a person has changed it")

// loadPersisted returns the objects of the file of an earlier run, or nil if there is
// none. It never changes the file.
func (p *program) loadPersisted(path string) (*tenantfile.Result, error) {
	const hint = "hint: correct the file, or move it away to start with the objects of the tenant file"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // the first run
	case err != nil:
		return nil, configError("--persist: %w\nhint: let this user read the file", err)
	case !info.Mode().IsRegular():
		return nil, configError("--persist: %s is not a regular file\nhint: name a file, which may be absent", path)
	}
	file, err := tenantfile.Load([]string{path}, tenantfile.Options{Lax: true})
	if err != nil {
		return nil, configError("--persist: the file is not valid:\n%w\n%s", err, hint)
	}
	if _, err := mock.New(mock.Config{Tenant: file.Tenant}); err != nil {
		return nil, configError("--persist: the file is not valid:\n%w\n%s", file.Explain(err), hint)
	}
	return file, nil
}

// restore sets the objects with which the tenant starts. It returns whether there are
// any of an earlier run.
func (p *program) restore(s settings, c *mock.Config) (loaded bool, err error) {
	switch {
	case s.Persist == "":
		return false, nil
	case len(s.Tenants) > 0:
		return false, configError("--persist is for one tenant, and MOCKAUTH0_TENANTS is set\nhint: start a process for each tenant that is kept")
	}
	file, err := p.loadPersisted(s.Persist)
	if err != nil || file == nil {
		return false, err
	}
	c.State = file.Tenant
	return true, nil
}

// persist starts to keep the objects of a tenant in a file. It writes the file, so that
// one that cannot be written is an error at the start.
func (p *program) persist(path string, t *mock.Tenant, loaded bool) (*persister, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	k := &persister{path: path, tenant: t, changes: t.Changes(), stderr: p.stderr} // before the first text, so that no change is missed
	text, err := k.text()
	if err != nil {
		return nil, err
	}
	content := text
	if loaded { // it stays as it is: a person may have edited it
		if content, err = os.ReadFile(path); err != nil {
			return nil, configError("--persist: %w\nhint: let this user read the file", err)
		}
	}
	err = k.write(content)
	k.last = text
	if err != nil {
		return nil, configError("--persist: cannot write the file: %w\nhint: name a file in a directory that this user can write to", err)
	}
	return k, nil
}

// run writes the file after each change, until ctx ends. The last change is not in the
// file then: see end.
func (k *persister) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.changes:
		}
		for wait := persistDelay; wait > 0; {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			wait = 0
			if err := k.save(); err != nil {
				fmt.Fprintf(k.stderr, "mockauth0: cannot write %s: %v; retrying in %s\n%s\n", k.path, err, persistRetry, hintFor(err))
				wait = persistRetry
			}
		}
	}
}

// save writes the objects as they are now, if the file has others.
func (k *persister) save() error {
	text, err := k.text()
	if err != nil || bytes.Equal(text, k.last) {
		return err
	}
	if err := k.write(text); err != nil {
		return err
	}
	k.last = text
	return nil
}

// end writes the last changes: into a second file if the first has changes of others.
func (k *persister) end() error {
	err := k.save()
	lost, hint := "; the last changes are lost", hintFor(err)
	if errors.Is(err, errChanged) {
		own := k.path + ".unsaved"
		if text, textErr := k.text(); textErr == nil && durable.Replace(own, 0o600, text) == nil {
			lost, hint = "", fmt.Sprintf("hint: the objects of this process are in %s; start with one of the two files", own)
		}
	}
	if err != nil {
		return &exitError{exitFailure, fmt.Errorf("cannot write %s: %w%s\n%s", k.path, err, lost, hint)}
	}
	return nil
}

// text returns the tenant file of the objects as they are now.
func (k *persister) text() ([]byte, error) {
	e, err := k.tenant.Export()
	if err != nil {
		return nil, err
	}
	return tenantfile.YAML(e.File)
}

// write replaces the file: a process that is killed leaves the old content or the new.
// A file with changes of others stays as it is; one that is gone is written again.
func (k *persister) write(text []byte) error {
	switch now, err := os.ReadFile(k.path); {
	case k.written == nil || errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !bytes.Equal(now, k.written):
		return errChanged
	}
	if err := durable.Replace(k.path, 0o600, text); err != nil {
		return err
	}
	k.written = text
	return durable.SyncDir(filepath.Dir(k.path))
}

// hintFor says what to do about an error of write.
func hintFor(err error) string {
	if errors.Is(err, errChanged) {
		return "hint: to keep both, move the file away: it is written again; a file belongs to one mockauth0"
	}
	return "hint: make room, or let this user write the file"
}
