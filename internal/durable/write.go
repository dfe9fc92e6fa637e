package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stale is the age from which a temporary file is a leftover of a killed process.
const stale = time.Minute

// Replace writes a file atomically: readers see the old content or the new one, also
// after a crash. It syncs the content but not the directory: see [SyncDir].
func Replace(path string, mode fs.FileMode, content []byte) error {
	tmp, err := temporary(path, mode, content)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// Create creates a file atomically and syncs its directory. An existing file stays,
// and the error is fs.ErrExist.
func Create(path string, mode fs.FileMode, content []byte) error {
	tmp, err := temporary(path, mode, content)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }() // the link stays
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes changes to the entries of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// temporary writes content, synced, to a new file in the directory of path.
func temporary(path string, mode fs.FileMode, content []byte) (name string, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), prefix(path)+"*") // 0600, new
	if err != nil {
		var of *fs.PathError
		if errors.As(err, &of) {
			of.Path = path // the name that the caller knows
		}
		return "", err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	sweep(path, tmp)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

func prefix(path string) string { return "." + filepath.Base(path) + ".tokend-" }

// sweep removes the temporary files of killed processes, which contain secrets. Its
// clock is that of the file system.
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
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name())) // another process did
		}
	}
}
