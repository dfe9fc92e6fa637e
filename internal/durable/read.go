package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// MaxSecret bounds a file that holds a secret, in bytes.
const MaxSecret = 64 << 10

// The permissions that a file or a directory must not give.
const (
	Others  fs.FileMode = 0o007 // any access for others: secrets that other software made, perhaps for a group
	Private fs.FileMode = 0o077 // any access for group and others: files that tokend made for itself
	Written fs.FileMode = 0o022 // write access for group and others
)

// ReadSecret reads a file that holds a secret. It must be a regular file of this
// user or root, of at most MaxSecret bytes, without the forbidden permissions. A
// symbolic link, as in the secret mounts of Kubernetes, must be this user's or
// root's, too, and point to such a file; with [Private] a link is refused. A named pipe is
// refused without waiting for its writer.
func ReadSecret(path string, forbidden fs.FileMode) ([]byte, error) {
	return readSecret(path, forbidden, os.Geteuid(), MaxSecret)
}

// ReadOwn reads a file that tokend made for itself, as [ReadSecret] does with [Private],
// of at most max bytes.
func ReadOwn(path string, max int64) ([]byte, error) {
	return readSecret(path, Private, os.Geteuid(), max)
}

func readSecret(path string, forbidden fs.FileMode, uid int, max int64) ([]byte, error) {
	f, err := openSecret(path, forbidden, uid)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case int64(len(b)) > max:
		return nil, refuse("use a file that contains only the secret", "%s is larger than %d KiB", path, max>>10)
	}
	return b, nil
}

// Open opens a regular file for reading. It refuses a named pipe without
// waiting for its writer.
func Open(path string) (*os.File, fs.FileInfo, error) {
	f, fi, err := OpenAny(path)
	if err == nil && !fi.Mode().IsRegular() {
		_ = f.Close() // only read
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	return f, fi, err
}

// OpenAny opens any kind of file for reading, without blocking.
func OpenAny(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close() // only read
		return nil, nil, err
	}
	return f, fi, nil
}

// ErrNotRegular means that a path names a directory, a pipe, a socket or a device.
var ErrNotRegular = errors.New("not a regular file")

func openSecret(path string, forbidden fs.FileMode, uid int) (*os.File, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if forbidden == Private && !named.Mode().IsRegular() {
		return nil, refuse("name the file itself", "%s is not a regular file", path)
	}
	if err := checkOwner(path, named, uid); err != nil {
		return nil, err
	}
	f, fi, err := Open(path)
	switch {
	case errors.Is(err, ErrNotRegular):
		return nil, refuse("name the file itself", "%s is not a regular file", path)
	case err != nil:
		return nil, unreadable(path, err)
	}
	if err := checkSecret(path, fi, forbidden, uid); err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return f, nil
}

// checkSecret checks the file that was opened, which is the target of a link.
func checkSecret(path string, fi fs.FileInfo, forbidden fs.FileMode, uid int) error {
	if perm := fi.Mode().Perm(); perm&forbidden != 0 {
		return refuse("chmod 600 "+path, "%s is open to %s (mode %#o)", path, whom(perm), perm)
	}
	return checkOwner(path, fi, uid)
}

func whom(perm fs.FileMode) string {
	if perm&Others != 0 {
		return "everyone"
	}
	return "its group"
}

func unreadable(path string, err error) error {
	return &Error{
		text: path + " cannot be read: " + Cause(err).Error(), err: err,
		hint: "use a file that contains only the secret and that the user of the service can read",
	}
}

// CheckDir refuses a path that is not a directory, a directory with forbidden
// permissions, and one that belongs to neither this user nor root: its owner could
// replace the files in it. instead is the alternative that the hint names.
func CheckDir(path string, fi fs.FileInfo, forbidden fs.FileMode, instead string) error {
	return checkDir(path, fi, forbidden, instead, os.Geteuid())
}

func checkDir(path string, fi fs.FileInfo, forbidden fs.FileMode, instead string, uid int) error {
	if !fi.IsDir() {
		return refuse(instead, "%s is not a directory", path)
	}
	if perm := fi.Mode().Perm(); perm&forbidden != 0 {
		what := "is open to others"
		if forbidden == Written {
			what = "can be written by others"
		}
		return refuse("chmod 700 "+path+", or "+instead, "%s %s (mode %#o)", path, what, perm)
	}
	return checkOwner(path, fi, uid)
}
