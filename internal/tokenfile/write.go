package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/tokend/internal/hint"
)

// stale is the age from which a temporary file is one of a process that was killed.
const stale = time.Minute

// put makes the file hold body, and says whether it did not before.
func (f *File) put(body []byte) (changed bool, err error) {
	if err := guardDir(filepath.Dir(f.cfg.Path)); err != nil {
		return false, err
	}
	there, err := guardFile(f.cfg.Path)
	if err != nil {
		return false, err
	}
	if there != nil && there.Mode().Perm() == f.cfg.Mode && there.Size() == int64(len(body)) {
		if was, err := os.ReadFile(f.cfg.Path); err == nil && bytes.Equal(was, body) {
			return false, nil
		}
	}
	return true, replace(f.cfg.Path, f.cfg.Mode, body)
}

// guardDir refuses a directory where others could put something in the file's
// place. A missing one is made for this user alone, if the one above it is there.
func guardDir(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(dir, 0o700); err == nil || errors.Is(err, fs.ErrExist) { // by another file's keeper
			fi, err = os.Stat(dir)
		}
	}
	if err != nil {
		return hint.Errorf("make it, writable for the user that runs this", "directory %s cannot be used: %w", dir, cause(err))
	}
	if !fi.IsDir() {
		return fmt.Errorf("%w: %s is not a directory", ErrRefused, dir)
	}
	if perm := fi.Mode().Perm(); perm&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return hint.Errorf(fmt.Sprintf("chmod 700 %s, or name a directory in it that is not there yet", dir), "%w: directory %s can be written by others (mode %#o)", ErrRefused, dir, perm)
	}
	return guardOwner(dir, fi, os.Geteuid())
}

// guardFile returns what is at the path; nil when nothing is.
func guardFile(path string) (fs.FileInfo, error) {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s cannot be looked at: %w", path, cause(err))
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, hint.Errorf("give the path that it leads to", "%w: %s is a symbolic link", ErrRefused, path)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is there and is not a regular file", ErrRefused, path)
	}
	return fi, nil
}

// replace puts body in the file's place whole: a reader sees the old content or
// the new one. The name of the temporary file is the directory's own until then.
func replace(path string, mode fs.FileMode, body []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, prefix(path)+"*") // 0600, new
	if err != nil {
		return unwritten(path, err)
	}
	err = fill(tmp, mode, body)
	sweep(path, tmp)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return unwritten(path, errors.Join(err, os.Remove(tmp.Name())))
	}
	return syncDir(dir)
}

func fill(tmp *os.File, mode fs.FileMode, body []byte) error {
	if _, err := tmp.Write(body); err != nil {
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	return tmp.Sync()
}

func prefix(path string) string { return "." + filepath.Base(path) + ".tokend-" }

// sweep removes what a process that was killed has left: it holds a token. By
// the file system's own clock it is older than any write takes.
func sweep(path string, fresh *os.File) {
	now, err := fresh.Stat()
	if err != nil {
		return
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix(path)) || !e.Type().IsRegular() {
			continue
		}
		if fi, err := e.Info(); err == nil && now.ModTime().Sub(fi.ModTime()) > stale {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name())) // somebody else did
		}
	}
}

// syncDir makes the renaming durable. The file is there already: a directory
// that cannot be synced is no failure of it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // as said
	}
	_ = d.Sync()
	return d.Close()
}

func unwritten(path string, err error) error {
	return hint.Errorf("look at the space and the permissions there", "%s cannot be written: %w", path, cause(err))
}

// cause takes the path off, which is named already; a temporary name helps nobody.
func cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	}
	return err
}
