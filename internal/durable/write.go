package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stale is the age from which a temporary file is one of a process that was killed.
const stale = time.Minute

// Replace puts content in the file's place whole: a reader sees the old content or
// the new one, and a crash leaves one of them. The content is synced, the directory
// is not: see [SyncDir].
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

// Create makes a file whole or not at all, and makes its name durable. It is
// fs.ErrExist when the file is there already, which stays.
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

// SyncDir makes what happened to the entries of a directory durable.
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

// sweep removes what a process that was killed has left: it holds a secret. By the
// file system's own clock it is older than any write takes.
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
