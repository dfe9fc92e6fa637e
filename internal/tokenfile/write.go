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
)

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
		return hint.Errorf("make it, writable for the user that runs this", "directory %s cannot be used: %w", dir, durable.Cause(err))
	}
	forbidden := durable.Written
	if fi.Mode()&fs.ModeSticky != 0 { // there others cannot replace this user's file
		forbidden = 0
	}
	if err := durable.CheckDir(dir, fi, forbidden, "name a directory in it that is not there yet"); err != nil {
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
		return nil, fmt.Errorf("%s cannot be looked at: %w", path, durable.Cause(err))
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, hint.Errorf("give the path that it leads to", "%w: %s is a symbolic link", ErrRefused, path)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is there and is not a regular file", ErrRefused, path)
	}
	return fi, nil
}

// replace puts body in the file's place whole. The file is there when its directory
// cannot be synced, so that is no failure of it.
func replace(path string, mode fs.FileMode, body []byte) error {
	if err := durable.Replace(path, mode, body); err != nil {
		return hint.Errorf("look at the space and the permissions there", "%s cannot be written: %w", path, durable.Cause(err))
	}
	_ = durable.SyncDir(filepath.Dir(path))
	return nil
}
