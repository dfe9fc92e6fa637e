package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/tokend/internal/durable"
	"example.com/tokend/internal/hint"
)

// Names of directories in messages.
const (
	stateDir = "state directory"
	spills   = "spill directory"
)

// guardDatabase creates the database's directory if needed, and rejects files
// that others could have created there.
func guardDatabase(path string) error {
	if err := guardDir(stateDir, filepath.Dir(path)); err != nil {
		return err
	}
	return guardFiles(path)
}

// guardFiles rejects a database that others could have created or can change.
func guardFiles(path string) error {
	// Only lstat: opening and closing a database file would drop the POSIX locks
	// that another connection of this process has on it.
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		fi, err := os.Lstat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if !fi.Mode().IsRegular() {
			return hint.Errorf("use the path of the database itself", "store: %s is not a regular file (%s)", path+suffix, kind(fi))
		}
		if perm := fi.Mode().Perm(); perm&0o022 != 0 {
			return hint.Errorf(fmt.Sprintf("chmod 600 %s", path+suffix),
				"store: %s can be written by others (mode %#o)", path+suffix, perm)
		}
	}
	return nil
}

// guardDir creates a directory for its owner alone. It rejects a directory that
// others can write to, or that this process cannot.
func guardDir(what, dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			fi, err = os.Stat(dir)
		}
	}
	if err != nil {
		return notWritable(what, dir, err)
	}
	if err := checkDir(what, dir, fi); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return notWritable(what, dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// checkDir rejects a path that is not a directory, and a directory that others
// can write to.
func checkDir(what, dir string, fi fs.FileInfo) error {
	if err := durable.CheckDir(dir, fi, durable.Written, "name a directory of its own"); err != nil {
		return fmt.Errorf("store: %s %w", what, err)
	}
	return nil
}

func notWritable(what, dir string, err error) error {
	return hint.Errorf("make it writable for the user that runs this program, or set another one",
		"store: %s %s not writable: %w", what, dir, durable.Cause(err))
}

func kind(fi fs.FileInfo) string {
	switch m := fi.Mode(); {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a directory"
	default:
		return "mode " + m.String()
	}
}
