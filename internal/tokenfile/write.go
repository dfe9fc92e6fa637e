package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
	"example.com/tokend/pkg/flow"
)

// put writes body, the form of a token, to the file, and reports whether the content
// changed.
func (f *File) put(body []byte, t *flow.Token) (changed bool, err error) {
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
	if f.cfg.OnWrite != nil {
		f.cfg.OnWrite(t)
	}
	return true, replace(f.cfg.Path, f.cfg.Mode, body)
}

// guardDir refuses a directory where others could replace the file. A missing one is
// created for this user alone, if its parent exists.
func guardDir(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(dir, 0o700); err == nil || errors.Is(err, fs.ErrExist) { // by the writer of another file
			fi, err = os.Stat(dir)
		}
	}
	if err != nil {
		return hint.Errorf("create it, writable for the user that runs this", "directory %s cannot be used: %w", dir, durable.Cause(err))
	}
	forbidden := durable.Written
	if fi.Mode()&fs.ModeSticky != 0 { // there others cannot replace this user's file
		forbidden = 0
	}
	if err := durable.CheckDir(dir, fi, forbidden, "name a new subdirectory of it"); err != nil {
		return fmt.Errorf("%w: directory %w", ErrRefused, err)
	}
	return nil
}

// guardFile returns what is at the path; nil when nothing is.
func guardFile(path string) (fs.FileInfo, error) {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", path, durable.Cause(err))
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, hint.Errorf("use the path that it points to", "%w: %s is a symbolic link", ErrRefused, path)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s exists and is not a regular file", ErrRefused, path)
	}
	return fi, nil
}

// replace writes the file atomically. A directory that cannot be synced is not an
// error: the file is complete.
func replace(path string, mode fs.FileMode, body []byte) error {
	if err := durable.Replace(path, mode, body); err != nil {
		return hint.Errorf("check the free space and the permissions there", "cannot write %s: %w", path, durable.Cause(err))
	}
	_ = durable.SyncDir(filepath.Dir(path))
	return nil
}
