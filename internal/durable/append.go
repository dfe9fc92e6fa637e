package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Append opens a file of tokend's own for appending, and creates it with mode 0600 if
// it is absent. The file must be a regular one, no link, of this user or root, that
// only its user can read, in a directory that no other user can write to.
func Append(path string) (*os.File, error) { return appendTo(path, os.Geteuid(), os.O_CREATE) }

// CheckAppend returns the error of [Append], and creates nothing. A file that is absent is
// not an error, nor is its directory.
func CheckAppend(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := appendTo(path, os.Geteuid(), 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return f.Close()
}

// appendTo opens the file; create is O_CREATE or 0.
func appendTo(path string, uid, create int) (*os.File, error) {
	const instead = "name a file in a directory of its own"
	dir := filepath.Dir(path)
	fi, err := os.Stat(dir)
	if err != nil {
		return nil, &Error{text: path + " cannot be written: its directory: " + Cause(err).Error(), hint: "make the directory, for the user of the service alone", err: err}
	}
	if err := checkDir(dir, fi, Written, instead, uid); err != nil {
		return nil, err
	}
	switch fi, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, unwritable(path, err)
	case !fi.Mode().IsRegular():
		return nil, refuse("name the file itself", "%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|create|nonBlocking|noFollow, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	if fi, err = f.Stat(); err == nil {
		err = checkSecret(path, fi, Private, uid)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func unwritable(path string, err error) error {
	return &Error{
		text: path + " cannot be written: " + Cause(err).Error(), err: err,
		hint: "let the user of the service write it, and leave space on its disk",
	}
}
